"""Terraform: files as its own formatter writes them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from event_monitor.provision.model import PlaceholderText
from event_monitor.provision.options import ProvisionOptions, TaskLimits
from event_monitor.provision.render.hcl import (
    Block,
    Call,
    Comment,
    Joined,
    Raw,
    encoded,
    text_of,
    variable,
)
from event_monitor.provision.render.terraform import SHARED_FILES, terraform_files
from event_monitor.provision.render.threshold_text import split_at_threshold
from event_monitor.provision.stack import PIECES, Piece, Stack, build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, HOSTILE, OPTIONS

SETTINGS = Settings(namespace="Shop", dimensions=(("Environment", "prod"),))


def files(
    *pieces: Piece, settings: Settings = SETTINGS, options: ProvisionOptions = OPTIONS
) -> dict[str, str]:
    """Return file name → text of these pieces."""
    chosen = replace(options, workers_from=1, scale_queue="")
    return terraform_files(build_stack(pieces, settings, chosen))


def words(text: str) -> str:
    """Return the text with single spaces, so that alignment does not matter."""
    return " ".join(text.split())


def test_hcl_is_written_as_terraform_formats_it() -> None:
    """Aligned, escaped, with what is left out left out."""
    block = Block(
        "resource",
        ("kind", "name"),
        (
            ("text", 'a "b" \\ ${c} %{d}\n\x7f'),
            ("longer_name", 1.0),
            ("share", 2.5),
            ("nothing", None),
            ("several", {"key": [True, Raw("var.x")], "odd key": {}}),
            ("after", encoded([])),
            Comment("Decide."),
            ("where", PlaceholderText("arn:{{partition}}:{{region}}:{{account}}:{{region}}")),
            Block("inner", body=(("one", 1),)),
        ),
    )

    assert text_of([Comment("Why."), block, block]).partition("\n\nresource")[0] == (
        "# Why.\n"
        'resource "kind" "name" {\n'
        '  text        = "a \\"b\\" \\\\ $${c} %%{d}\\n\\u007f"\n'
        "  longer_name = 1\n"
        "  share       = 2.5\n"
        "  several = {\n"
        "    key       = [true, var.x]\n"
        '    "odd key" = {}\n'
        "  }\n"
        "  after = jsonencode([])\n"
        "  # Decide.\n"
        '  where = "arn:${data.aws_partition.current.partition}:${data.aws_region.current.id}:'
        '${data.aws_caller_identity.current.account_id}:{{region}}"\n'
        "\n"
        "  inner {\n"
        "    one = 1\n"
        "  }\n"
        "}"
    )


def test_a_stack_of_nothing_makes_no_files() -> None:
    """Not even the versions."""
    assert terraform_files(Stack(prefix="celery")) == {}


def test_calls_and_texts_with_expressions_are_written() -> None:
    """What a person wrote between the expressions stays literal."""
    text = text_of(
        [
            Comment("one\ntwo"),
            Block("locals", body=(("tags", Call("merge", Raw("var.a"), {"k": 1})),)),
            Block("locals", body=(("text", Joined(("a ${b} ", Raw("var.c"), ' "'))),)),
            Block("data", ("kind", "empty")),
            variable("x", "An x.", default=[], check=("var.x", "No.")),
        ]
    )

    assert text == (
        "# one two\n"
        "locals {\n  tags = merge(var.a, {\n    k = 1\n  })\n}\n\n"
        'locals {\n  text = "a $${b} ${var.c} \\""\n}\n\n'
        'data "kind" "empty" {}\n\n'
        'variable "x" {\n  type        = string\n  description = "An x."\n  default     = []\n\n'
        '  validation {\n    condition     = var.x\n    error_message = "No."\n  }\n}\n'
    )


def test_what_differs_between_environments_is_a_variable() -> None:
    """What was chosen is the default; nothing else has it in it."""
    written = files(*PIECES)
    shared = words(written.pop("variables.tf"))

    assert 'default = "Shop"' in shared
    assert 'default = { Environment = "prod" }' in shared
    for name, text in written.items():
        assert '"prod"' not in text, name
        assert '"Shop"' not in text, name
        assert '"celery-' not in text, name
    assert '"Environment", var.dimensions["Environment"]' in words(written["dashboard.tf"])
    assert ":alarm:${var.prefix}-unhealthy" in written["dashboard.tf"]


def test_thresholds_are_one_variable_and_descriptions_say_what_is_in_force() -> None:
    """Whatever the alarm is about."""
    written = files("alarms")
    thresholds, alarms = words(written["thresholds.tf"]), words(written["alarms.tf"])

    assert "too_few_workers = optional(number, 1)" in thresholds
    assert "threshold = var.thresholds.too_few_workers" in alarms
    assert '"Fewer than ${var.thresholds.too_few_workers} workers are online.' in alarms
    assert re.search(r"runtime_p95_shop_pay_\w{8} = optional\(number, 30.5\)", thresholds)


def test_the_composite_refers_to_its_alarms() -> None:
    """So they are made before it and, replaced before they go, are removed after it changed."""
    alarms = files("alarms")["alarms.tf"]

    assert "aws_cloudwatch_metric_alarm.monitor_dead.alarm_name," in alarms
    assert 'formatlist("ALARM(\\"%s\\")", [' in alarms
    resources = alarms.count('resource "aws_cloudwatch_metric_alarm"')
    assert alarms.count("create_before_destroy = true") == resources


def test_an_alarm_that_pages_notifies_both_lists() -> None:
    """The others notify topics."""
    stack = build_stack(("alarms",), SETTINGS, OPTIONS)
    paging = sum(alarm.pages for alarm in stack.alarms)

    alarms = words(terraform_files(stack)["alarms.tf"])

    assert alarms.count("alarm_actions = distinct(concat(var.topics, var.pages))") == paging > 0
    composite = 1
    assert alarms.count("alarm_actions = var.topics") == len(stack.alarms) - paging + composite


def test_pieces_written_one_by_one_are_those_written_together() -> None:
    """But for the permissions, which a role of the same module attaches."""
    settings = replace(SETTINGS, queues=tuple(queue.name for queue in OPTIONS.queues))
    together = files(*PIECES, settings=settings)

    for piece in ("alarms", "dashboard", "autoscaling"):
        one = files(piece, settings=settings)
        assert one == {name: together[name] for name in one}
        assert len(one.keys() - SHARED_FILES) == 1


def test_no_policy_is_written_that_nothing_uses() -> None:
    """The role attaches the one there is, or has its own."""
    both, ecs = files("iam", "ecs"), files("ecs")

    assert "aws_iam_policy.monitor.arn" in both["ecs.tf"]
    assert '"aws_iam_role_policy"' not in both["ecs.tf"]
    assert '"aws_iam_role_policy"' in ecs["ecs.tf"]


def test_the_service_waits_for_its_permissions() -> None:
    """A monitor that may not publish yet would look broken."""
    both, ecs = words(files("iam", "ecs")["ecs.tf"]), words(files("ecs")["ecs.tf"])

    assert "depends_on = [aws_iam_role_policy_attachment.monitor]" in both
    assert "depends_on = [aws_iam_role_policy.monitor]" in ecs


def test_the_state_is_kept_on_a_file_system_if_one_is_given() -> None:
    """Without a state there is nothing to ask for."""
    kept = words(files("ecs", settings=Settings(state_dir="/s"))["ecs.tf"])
    for kind, name in (
        ("efs_volume_configuration", "file_system"),
        ("authorization_config", "access_point"),
    ):
        given = f'for_each = var.monitor_state_{name} == "" ? [] : [1]'
        assert f'dynamic "{kind}" {{ {given}' in kept
    assert "efs" not in files("ecs")["ecs.tf"]


def test_several_services_are_scaled_in_one_module() -> None:
    """Each has a target and policies of its own."""
    services = (("celery", "workers"), (HOSTILE, "mailers"))
    written = files("autoscaling", options=ProvisionOptions(services=services))["autoscaling.tf"]

    targets = re.findall(r'resource "aws_appautoscaling_target" "(\w+)"', written)
    assert targets[0] == "workers_celery"
    assert re.fullmatch(r"workers_a_b_c_d_if_xe9_n_\w{8}", targets[1])
    assert 'celery = "workers"' in words(written)
    assert "ignore_changes = [desired_count]" in written
    assert written.count("disable_scale_in   = true") == 2
    assert written.count("condition     = var.workers_to >= var.workers_from") == 2


@pytest.mark.parametrize("piece", PIECES[:-1])
def test_outputs_name_what_was_made(piece: Piece) -> None:
    """For the modules around this one."""
    outputs = {
        "alarms": {"alarm_arns", "composite_alarm_name", "composite_alarm_arn"},
        "dashboard": {"dashboard_name", "dashboard_arn"},
        "autoscaling": {"scaling_policy_arns"},
        "iam": {"policy_arn"},
        "sqs": {"event_queue_url", "workers_policy_arn"},
        "ecs": {"role_arn", "role_name", "service_name", "task_definition_arn"},
    }
    text = "".join(files(piece).values())
    assert set(re.findall(r'output "(\w+)"', text)) == outputs[piece]


def test_names_of_tasks_are_literal_in_every_file() -> None:
    """Also where references are interpolated."""
    options = replace(OPTIONS, tasks=(TaskLimits("${var.prefix} %{x}", p95=1.0),))
    alarms = files("alarms", settings=EVERYTHING, options=options)["alarms.tf"]

    assert "$${var.prefix} %%{x}" in alarms
    assert '"${var.prefix}-runtime-p95-$${var.prefix} %%{x}"' in alarms


@pytest.mark.parametrize(
    ("threshold", "description", "parts"),
    [
        (5.0, "More than 5 % of 15 fail.", ("More than ", " % of 15 fail.")),
        (2.5, "More than 2.5.", ("More than ", ".")),
        (3.0, "None is left. It waits for 3 of 5 minutes.", None),
        (5.0, "None is left. It waits for 5 minutes.", None),
        (1.0, "1,000 or 1.5 or $1 or m1 or 12.", None),
    ],
)
def test_a_threshold_is_found_in_a_description(
    threshold: float, description: str, parts: tuple[str, str] | None
) -> None:
    """And no other number is taken for it."""
    (alarm, *_) = build_stack(("alarms",), SETTINGS, OPTIONS).alarms
    found = split_at_threshold(replace(alarm, threshold=threshold, description=description))
    assert found == parts
