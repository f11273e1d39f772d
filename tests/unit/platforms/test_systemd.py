"""systemd: a unit that systemd itself finds nothing wrong with, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from event_monitor.errors import SettingsError
from event_monitor.platforms.monitor import Monitor
from event_monitor.platforms.systemd import systemd_files
from event_monitor.settings import Settings

from .making import HARD, monitor, require_accepted, without_secrets

UNIT = "event-monitor.service"
PROGRAM = ("/opt/shop/bin/event-monitor",)
HERE = (str(Path(sys.executable).with_name("event-monitor")),)
STATE = "/var/lib/event-monitor"


def unit_of(files: Mapping[str, str]) -> dict[str, list[str]]:
    """Return directive → its values in [Service], as they stand there."""
    service = files[UNIT].partition("[Service]")[2].partition("[Install]")[0]
    found: dict[str, list[str]] = {}
    for line in service.splitlines():
        if line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def unquoted(text: str) -> str:
    """Return one quoted word of a unit, as systemd reads it: specifiers first, then escapes."""
    assert text[0] == text[-1] == '"'
    assert "%" not in text.replace("%%", "")
    plain, rest = "", iter(text[1:-1].replace("%%", "%"))
    for character in rest:
        assert character != '"'
        plain += next(rest) if character == "\\" else character
    return plain


@pytest.mark.parametrize("settings", [HARD, Settings()], ids=["hard", "defaults"])
def test_the_unit_has_these_settings(settings: Settings) -> None:
    """Read back from its variables."""
    entries = unit_of(systemd_files(monitor(settings), program=PROGRAM).files)["Environment"]
    variables = dict(unquoted(entry).split("=", 1) for entry in entries)

    assert Settings.load(environ=variables) == without_secrets(settings, state_dir=STATE)


def test_secrets_come_from_a_file_of_roots() -> None:
    made = systemd_files(monitor(), program=PROGRAM)

    assert unit_of(made.files)["EnvironmentFile"] == ["/etc/event-monitor.env"]
    assert "QXYZ" not in str(made)
    assert "install -m 600 event-monitor.env /etc/" in made.notes[-1]


def test_it_writes_to_its_state_only_and_reads_settings_anew_on_reload() -> None:
    """A reload is a graceful shutdown with exit code 0, so the restart has to be unconditional."""
    unit = unit_of(systemd_files(monitor(), program=PROGRAM).files)

    assert unit["ExecStart"] == ["/opt/shop/bin/event-monitor run"]
    require_accepted(unit["ExecStart"][0].split())
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == (["always"], ["2"])
    assert unit["WorkingDirectory"] == ["/srv/shop"]
    for directive, value in {
        "DynamicUser": "yes",
        "StateDirectory": "event-monitor",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "NoNewPrivileges": "yes",
        "TimeoutStopSec": "55",
    }.items():
        assert unit[directive] == [value]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
@pytest.mark.parametrize("folder", ["shop", "my shop % ä"])
@pytest.mark.parametrize(
    "settings", [HARD, Settings(state_group="root")], ids=["dynamic user", "user with a group"]
)
def test_systemd_finds_nothing_wrong(tmp_path: Path, folder: str, settings: Settings) -> None:
    """Neither a directive nor a value; and it is as closed as a program with a network can be."""
    project = tmp_path / folder
    project.mkdir()
    program = project / "event-monitor"
    program.symlink_to(HERE[0])
    made = systemd_files(
        Monitor(app="proj", settings=settings, project=project), program=(str(program),)
    )
    unit = tmp_path / UNIT
    unit.write_text(made.files[UNIT], encoding="utf-8")

    for command in (("verify", "--man=no"), ("security", "--offline=yes", "--threshold=25")):
        found = subprocess.run(
            ["systemd-analyze", *command, str(unit)], capture_output=True, text=True, timeout=60
        )
        assert found.returncode == 0, found.stdout + found.stderr
        if command[0] == "verify":
            assert found.stderr == ""


@pytest.mark.parametrize("home", ["/home/ann", "/root", "/run/user/1000"])
def test_a_project_at_somebodys_home_can_be_seen(home: str) -> None:
    """A note says who has to be able to read it."""
    project = Path(home, "shop")
    made = systemd_files(monitor(project=project), program=PROGRAM)

    assert unit_of(made.files)["ProtectHome"] == ["read-only"]
    assert f"the unit's user has to be able to read {project}." in made.notes


def test_a_group_that_reads_the_history_needs_a_user_that_stays() -> None:
    """systemd closes the state of a user that it makes to everybody else."""
    made = systemd_files(monitor(Settings(state_group="ops")), program=PROGRAM)
    unit = unit_of(made.files)

    assert "DynamicUser" not in unit
    assert (unit["User"], unit["SupplementaryGroups"]) == (["event-monitor"], ["ops"])
    assert any("useradd --system" in note for note in made.notes)


def test_two_monitors_of_one_machine_share_nothing() -> None:
    """Neither unit, state, file of secrets nor user."""
    made = systemd_files(monitor(Settings(state_group="ops"), name="shop"), program=PROGRAM)
    unit = unit_of({UNIT: made.files["shop.service"]})

    assert set(made.files) == {"shop.service", "shop.env"}
    assert (unit["StateDirectory"], unit["User"]) == (["shop"], ["shop"])
    assert unit["EnvironmentFile"] == ["/etc/shop.env"]
    assert "event-monitor.env" not in made.notes[-1]
    assert made.notes[-1].endswith("systemctl enable --now shop")


def test_without_an_app_it_runs_anywhere() -> None:
    unit = unit_of(systemd_files(monitor(Settings(), app=""), program=PROGRAM).files)

    assert "WorkingDirectory" not in unit
    assert unit["Environment"] == [f'"EVENT_MONITOR_STATE_DIR={STATE}"']


@pytest.mark.parametrize("project", ['/srv/a"b', "/srv/a\nUser=root", "/srv/a\\", "/srv/$HOME"])
def test_a_path_that_a_unit_cannot_hold_is_refused(project: str) -> None:
    with pytest.raises(SettingsError, match="cannot stand in a unit") as refused:
        systemd_files(monitor(project=Path(project)), program=PROGRAM)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("state_dir", ["/srv/monitor", "/var/lib/my monitor"])
def test_a_state_that_systemd_does_not_make_is_refused(state_dir: str) -> None:
    with pytest.raises(SettingsError, match="systemd makes it in /var/lib"):
        systemd_files(monitor(Settings(state_dir=state_dir)), program=PROGRAM)
