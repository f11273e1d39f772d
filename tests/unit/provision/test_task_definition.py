"""Task definition: the container has these settings, and what it needs besides is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.options import ProvisionOptions, QueueLimits
from event_monitor.provision.render.api import api_calls
from event_monitor.provision.render.cloudformation import cloudformation_template
from event_monitor.provision.render.terraform import terraform_files
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.provision.task_definition import container_definition, environment
from event_monitor.settings import Settings

from .examples import EVERYTHING, read_back


def test_the_container_has_these_settings() -> None:
    """Read back from its variables; secrets and the region come another way."""
    settings = replace(
        EVERYTHING,
        by_task=(),
        groups=(("shop", ("shop.*", "pay.*")),),
        interval=30.0,
        high_resolution=True,
    )
    hidden = replace(settings, region="eu-west-1", management_url="http://guest:secret@mq:15672")

    assert Settings.load(environ=environment(hidden)) == settings
    assert "secret@" not in str(build_stack(PIECES, hidden, ProvisionOptions()))


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop:key::"


@pytest.mark.parametrize(
    "options",
    [
        ProvisionOptions(services=(("mail", "mailers"), ("a,b", "others"))),
        ProvisionOptions(scale_queue="mail"),
        ProvisionOptions(queues=(QueueLimits("mail"), QueueLimits("celery"))),
    ],
)
def test_the_monitor_watches_every_queue_that_is_named(options: ProvisionOptions) -> None:
    """It would forget one that is idle; a list cannot hold a name with a comma."""
    container = container_definition(Settings(queues=("celery",)), options)

    assert {"name": "EVENT_MONITOR_QUEUES", "value": "celery,mail"} in container["environment"]


def test_a_password_in_the_place_of_a_file_is_not_written() -> None:
    """What is provisioned is committed, and shown by the console of ECS."""
    for http_auth in ("bearer:hunter2", "basic:ops:hunter2"):
        with pytest.raises(SettingsError, match="http_auth is not shown") as refused:
            environment(Settings(http_auth=http_auth))
        assert "hunter2" not in str(refused.value)
    for http_auth in ("bearer:env:TOKEN", "basic:/run/secrets/ops", "header:x-user", "none"):
        shown = environment(Settings(http_auth=http_auth))
        assert shown == {"EVENT_MONITOR_HTTP_AUTH": http_auth}


def test_the_management_url_comes_from_a_secret_that_has_to_be_named() -> None:
    """It may hold a password; whoever has none is not asked."""
    stack = build_stack(
        ("ecs",), Settings(management_url="http://guest:secret@mq:15672"), ProvisionOptions()
    )

    terraform = " ".join(terraform_files(stack)["ecs.tf"].split())
    assert 'variable "monitor_management_secret" { type = string description' in terraform
    template = read_back(cloudformation_template(stack))
    assert "Default" not in template["Parameters"]["MonitorManagementSecret"]
    (container,) = template["Resources"]["MonitorTask"]["Properties"]["ContainerDefinitions"]
    assert container["Secrets"] == [
        {"Name": "EVENT_MONITOR_BROKER", "ValueFrom": {"Ref": "MonitorBrokerSecret"}},
        {"Name": "EVENT_MONITOR_MANAGEMENT_URL", "ValueFrom": {"Ref": "MonitorManagementSecret"}},
    ]
    (task,) = read_back(api_calls(stack))["register_task_definition"]
    secrets = {
        secret["name"]: secret["valueFrom"] for secret in task["containerDefinitions"][0]["secrets"]
    }
    assert secrets["EVENT_MONITOR_MANAGEMENT_URL"] == "{{monitor_management_secret}}"
    plain = build_stack(("ecs",), Settings(), ProvisionOptions())
    assert "management" not in terraform_files(plain)["ecs.tf"]


def test_the_app_gets_its_variables_and_secrets() -> None:
    """After the monitor's own; in Terraform they are defaults, and literal."""
    options = ProvisionOptions(environment=(("DB", '${x} "q"'),), secrets=(("KEY", SECRET),))
    stack = build_stack(("ecs",), Settings(), options)

    template = read_back(cloudformation_template(stack))
    (container,) = template["Resources"]["MonitorTask"]["Properties"]["ContainerDefinitions"]
    assert container["Environment"][-1] == {"Name": "DB", "Value": '${x} "q"'}
    assert container["Secrets"][-1] == {"Name": "KEY", "ValueFrom": SECRET}
    (task,) = read_back(api_calls(stack))["register_task_definition"]
    (container,) = task["containerDefinitions"]
    assert container["environment"][-1] == {"name": "DB", "value": '${x} "q"'}
    assert container["secrets"][-1] == {"name": "KEY", "valueFrom": SECRET}
    terraform = terraform_files(stack)["ecs.tf"]
    assert f'default = {{\n    KEY = "{SECRET}"\n  }}' in terraform
    assert 'DB = "$${x} \\"q\\""' in terraform
    for name, key in (("environment", "value"), ("secrets", "valueFrom")):
        entries = f"[for name, value in var.monitor_{name} : {{ name = name, {key} = value }}]"
        assert f"], {entries})" in terraform


def test_cpu_and_memory_can_be_changed() -> None:
    """The defaults are the least that Fargate has."""
    stack = build_stack(("ecs",), Settings(), ProvisionOptions())

    terraform = " ".join(terraform_files(stack)["ecs.tf"].split())
    assert "cpu = var.monitor_cpu memory = var.monitor_memory" in terraform
    template = read_back(cloudformation_template(stack))
    task = template["Resources"]["MonitorTask"]["Properties"]
    assert (task["Cpu"], task["Memory"]) == ({"Ref": "MonitorCpu"}, {"Ref": "MonitorMemory"})
    defaults = [template["Parameters"][name]["Default"] for name in ("MonitorCpu", "MonitorMemory")]
    assert defaults == ["256", "512"]
    (call,) = read_back(api_calls(stack))["register_task_definition"]
    assert (call["cpu"], call["memory"]) == ("256", "512")


def test_what_the_container_needs_besides_is_said() -> None:
    """A volume; a deployment would lose what is on the disk."""
    settings = Settings(state_dir="/var/lib/em")

    notes = " ".join(build_stack(("ecs",), settings, ProvisionOptions()).notes)

    assert "/var/lib/em is a volume that user 1000 has to own" in notes
    assert "mount a volume" in notes
    assert build_stack(("ecs",), Settings(), ProvisionOptions()).notes == ()


@pytest.mark.parametrize(
    ("settings", "volumes"),
    [
        (Settings(), {"tmp": "/tmp"}),
        (Settings(state_dir="/var/lib/em"), {"state": "/var/lib/em"}),
        (Settings(sink="emf", emf_file="/var/log/emf/lines"), {"emf": "/var/log/emf"}),
        (
            Settings(state_dir="/var/lib/em", emf_file="/var/log/emf/lines"),
            {"state": "/var/lib/em", "emf": "/var/log/emf"},
        ),
        (Settings(state_dir="/var/lib/em", emf_file="/var/lib/em/l"), {"state": "/var/lib/em"}),
        (Settings(state_dir="relative"), {}),
    ],
)
def test_the_container_can_write_to_its_volumes_only(
    settings: Settings, volumes: dict[str, str]
) -> None:
    """A read-only root file system, and not root."""
    stack = build_stack(("ecs",), settings, ProvisionOptions())
    assert stack.container is not None

    assert stack.container["readonlyRootFilesystem"] is True
    assert stack.container["user"] == "1000:1000"
    mounts = stack.container["mountPoints"]
    assert {mount["sourceVolume"]: mount["containerPath"] for mount in mounts} == volumes
    template = read_back(cloudformation_template(stack))
    task = template["Resources"]["MonitorTask"]["Properties"]
    assert [volume["Name"] for volume in task["Volumes"]] == list(volumes)
    (container,) = task["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    terraform = "".join(terraform_files(stack).values())
    assert terraform.count("volume {") == len(volumes)
    assert "readonlyRootFilesystem = true" in terraform


def test_a_relative_path_is_noted_since_no_volume_can_be_mounted_there() -> None:
    """Nothing could be written."""
    notes = build_stack(("ecs",), Settings(state_dir="relative"), ProvisionOptions()).notes

    assert "relative is on the read-only root file system: give an absolute path." in notes


@pytest.mark.parametrize(("drain", "stop"), [(20.0, 30), (0.5, 11), (600.0, 120)])
def test_a_stop_waits_for_the_drain_as_long_as_ecs_allows(drain: float, stop: int) -> None:
    """Two minutes at most."""
    container = container_definition(Settings(drain_seconds=drain), ProvisionOptions())
    assert container["stopTimeout"] == stop


def test_the_container_has_a_health_check_of_its_own() -> None:
    """ECS ignores that of a Dockerfile."""
    container = container_definition(Settings(), ProvisionOptions())
    assert container["healthCheck"] == {
        "command": ["CMD", "event-monitor", "healthcheck", "--monitor"],
        "interval": 30,
        "timeout": 10,
        "retries": 3,
        "startPeriod": 60,
    }
