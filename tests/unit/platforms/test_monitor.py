"""Monitor: names of apps, values and places that can be written down, or are refused."""

from __future__ import annotations

import pytest

from event_monitor.errors import SettingsError
from event_monitor.platforms.monitor import require_app, secrets_file, with_state
from event_monitor.settings import Settings

from .making import SECRETS, monitor


@pytest.mark.parametrize("name", ["proj", "proj.celery", "proj:app", "a.b_1:c.d", "größe.app"])
def test_an_app_is_named_as_for_celery(name: str) -> None:
    require_app(name)


@pytest.mark.parametrize(
    "name",
    [
        *("my proj", "proj;reboot", "proj'", 'proj"', "proj\nUSER root", "proj\n", "$(id)", "-A"),
        *(
            "proj/celery.py",
            "proj.",
            ".proj",
            "1proj",
            "proj:",
            "a:b:c",
            "%h",
            "\ud800",
            "\x1b[31m",
        ),
    ],
)
def test_a_name_that_no_app_can_have_is_refused(name: str) -> None:
    """In one sentence that a terminal can print."""
    with pytest.raises(
        SettingsError, match=r"^-A is .*; it must be the name of a module"
    ) as refused:
        require_app(name)
    assert str(refused.value).isprintable()


def test_a_value_that_would_begin_a_line_is_refused() -> None:
    """A variable of the desk may hold anything."""
    settings = Settings(dimensions=(("Environment", "prod\nUser=root"),))

    with pytest.raises(SettingsError, match=r"^EVENT_MONITOR_DIMENSIONS is .*must be printable"):
        _ = monitor(settings).variables


def test_what_may_hold_a_password_is_named_and_not_written() -> None:
    text = secrets_file(monitor())

    assert [line[:-1] for line in text.splitlines() if line.endswith("=") and "#" not in line] == (
        SECRETS
    )
    assert "QXYZ" not in text


def test_a_password_in_the_place_of_a_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="http_auth is not shown") as refused:
        _ = monitor(Settings(http_auth="bearer:QXYZ")).variables
    assert "QXYZ" not in str(refused.value)


def test_a_variable_that_no_file_can_set_is_refused() -> None:
    with pytest.raises(SettingsError, match="use letters, digits and _"):
        secrets_file(monitor(Settings(http_auth="basic:env:A B=c")))


@pytest.mark.parametrize("state_dir", ["state", "/", "/state", "/var/lib/../../etc/em"])
def test_a_state_dir_is_a_whole_path_of_its_own(state_dir: str) -> None:
    """A volume over it hides what was there."""
    with pytest.raises(SettingsError, match="must be a whole path such as /var/lib/event-monitor"):
        with_state(monitor(Settings(state_dir=state_dir)))


def test_nothing_is_written_outside_the_state_dir() -> None:
    with pytest.raises(SettingsError, match="it must be in /var/lib/event-monitor"):
        with_state(monitor(Settings(sink="emf", emf_file="/var/log/metrics.json")))
    inside = monitor(Settings(sink="emf", emf_file="/data/em/metrics.json", state_dir="/data/em"))
    assert with_state(inside) == inside
