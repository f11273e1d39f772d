"""Init: what is printed, what is written where, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.cli.provision import files_of
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.stack import build_stack
from event_monitor.settings import Settings

from .terminal import complaint, typed

FILES = {
    "django": {"event_monitor_settings.py"},
    "docker": {"Dockerfile", "Dockerfile.dockerignore", "compose.yaml", "event-monitor.env"},
    "kubernetes": {"event-monitor.yaml", "event-monitor.env"},
    "systemd": {"event-monitor.service", "event-monitor.env"},
    "ecs": {"data.tf", "ecs.tf", "variables.tf", "versions.tf"},
}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("platform", FILES)
def test_a_platform_has_its_files_and_no_other(platform: str, tmp_path: Path) -> None:
    """Named as the platform expects; the second time there is nothing to do."""
    folder = tmp_path / "deploy" / platform
    result = typed("init", platform, "-A", "proj", "-o", str(folder))

    assert result.exit_code == 0, result.output
    assert set(contents(folder)) == FILES[platform]
    assert result.stdout.splitlines() == [
        f"create     {folder / line.split('/')[-1]}" for line in result.stdout.splitlines()
    ]
    assert all(line.startswith("note: ") for line in result.stderr.splitlines())
    again = typed("init", platform, "-A", "proj", "-o", str(folder))
    assert again.exit_code == 0
    assert {line.split()[0] for line in again.stdout.splitlines()} <= {"unchanged", "kept"}


@pytest.mark.parametrize("platform", FILES)
def test_without_a_folder_all_is_printed_and_nothing_written(platform: str, desk: Path) -> None:
    """Each file after its name, if there are several; notes go to stderr."""
    printed = typed("init", platform, "-A", "proj")

    assert printed.exit_code == 0
    assert list(desk.iterdir()) == []
    headings = {line[6:] for line in printed.stdout.splitlines() if line.startswith("# ==> ")}
    assert headings == (FILES[platform] if len(FILES[platform]) > 1 else set())


def test_files_of_others_are_overwritten_by_force_only(tmp_path: Path) -> None:
    """All of them or none."""
    (tmp_path / "Dockerfile").write_text("FROM mine\n")

    refused = typed("init", "docker", "-o", str(tmp_path))
    assert refused.exit_code == 2
    assert refused.stderr == (
        "event-monitor: nothing was written, since `event-monitor init` has not made "
        f"{tmp_path / 'Dockerfile'}: choose another --out, or overwrite with --force.\n"
    )
    assert contents(tmp_path) == {"Dockerfile": "FROM mine\n"}

    assert typed("init", "docker", "-o", str(tmp_path), "--force").exit_code == 0
    assert contents(tmp_path)["Dockerfile"].startswith("# The monitor.\nFROM python:")


def test_secrets_are_closed_to_others_and_never_overwritten(tmp_path: Path) -> None:
    """Not even by force: somebody has filled them in."""
    typed("init", "systemd", "-o", str(tmp_path))
    secrets = tmp_path / "event-monitor.env"
    assert secrets.stat().st_mode & 0o777 == 0o600
    secrets.write_text("EVENT_MONITOR_BROKER=redis://:QXYZ@cache/0\n")

    result = typed("init", "systemd", "-o", str(tmp_path), "--force", "--interval", "30")
    assert f"kept       {secrets}" in result.stdout
    assert secrets.read_text() == "EVENT_MONITOR_BROKER=redis://:QXYZ@cache/0\n"
    assert "QXYZ" not in result.output


def test_no_broker_of_the_desk_is_written() -> None:
    """It may hold a password."""
    environ = {"EVENT_MONITOR_BROKER": "redis://:QXYZ@cache/0", "EVENT_MONITOR_NAMESPACE": "Shop"}
    for platform in FILES:
        result = typed("init", platform, environ=environ)
        assert result.exit_code == 0
        assert "QXYZ" not in result.output
        assert "Shop" in result.stdout


def test_ecs_is_what_provision_writes(tmp_path: Path) -> None:
    typed("init", "ecs", "-A", "proj", "--namespace", "Shop", "-o", str(tmp_path))

    options = ProvisionOptions(app="proj", prefix="shop")  # the namespace's
    stack = build_stack(("ecs",), Settings(namespace="Shop"), options)
    for name, text in files_of(stack, "terraform").items():
        assert contents(tmp_path)[name].endswith(text)


@pytest.mark.parametrize("platform", ["docker", "kubernetes", "systemd"])
def test_a_durable_queue_has_its_state_where_a_volume_is_written(platform: str) -> None:
    """It needs no --state-dir there."""
    result = typed("init", platform, "--name", "shop", "--durable-queue", "events")

    assert result.exit_code == 0, result.output
    assert "/var/lib/shop" in result.stdout
    refused = complaint(typed("init", "django", "--durable-queue", "events"), code=2)
    assert refused.startswith("durable_queue is 'events' but state_dir is not set")


def test_a_name_on_ecs_is_the_prefix(tmp_path: Path) -> None:
    typed("init", "ecs", "--name", "shop", "-o", str(tmp_path))

    stack = build_stack(("ecs",), Settings(), ProvisionOptions(prefix="shop"))
    for name, text in files_of(stack, "terraform").items():
        assert contents(tmp_path)[name].endswith(text)


def test_the_app_is_taken_from_where_celery_takes_it() -> None:
    """Flag, group's flag or variable."""
    for arguments, environ in (
        (("init", "systemd", "-A", "proj"), {}),
        (("-A", "proj", "init", "systemd"), {}),
        (("init", "systemd"), {"CELERY_APP": "proj"}),
    ):
        assert '"EVENT_MONITOR_APP=proj"' in typed(*arguments, environ=environ).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("docker", "-A", "my proj"), "-A is 'my proj'; it must be the name of a module"),
        (("docker", "-A", "p\nUSER root"), r"-A is 'p\\nUSER root'; it must be"),
        (("docker", "--force"), "--force is for --out DIR."),
        (("systemd", "--role", "x"), "--role is for kubernetes, not for systemd."),
        (("systemd", "--name", "Shop"), "--name is 'Shop'; it must be 1 to 31 small letters"),
        (("docker", "--name", "shop-"), "--name is 'shop-'; it must be 1 to 31 small letters"),
        (("django", "--name", "shop"), "--name is for platforms"),
        (("ecs", "--persistent"), "--persistent is for kubernetes, not for ecs."),
        (("kubernetes", "--image", "a b"), "--image is 'a b'; it is like registry.example.com"),
        (("docker", "--state-dir", "state"), "state_dir is 'state'; it must be a whole path"),
        (("systemd", "--interval", "x"), "--interval is 'x'; it must be"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    assert complaint(typed("init", *arguments), code=2).startswith(sentence)


def test_a_misspelt_platform_is_guessed() -> None:
    result = typed("init", "kubernets")

    assert result.exit_code == 2
    assert "did you mean 'kubernetes'" in result.stderr
