"""Django: a Celery app with the namespace CELERY reads from the module what was chosen."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from celery import Celery

from event_monitor.errors import SettingsError
from event_monitor.platforms.django import django_files
from event_monitor.settings import Settings, conf_of

from .making import HARD, monitor, without_secrets


@pytest.mark.parametrize("settings", [HARD, Settings()], ids=["hard", "defaults"])
def test_an_app_reads_the_settings_from_a_projects_module(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Django's settings module, beside what the project has of its own."""
    ((name, text),) = django_files(monitor(settings)).files.items()
    module = ModuleType("shop_settings")
    exec(compile(f"CELERY_TASK_DEFAULT_QUEUE = 'shop'\n{text}", name, "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "shop_settings", module)
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.config_from_object("shop_settings", namespace="CELERY")

    assert Settings.load(conf=conf_of(app), environ={}) == without_secrets(settings, state_dir="")
    assert app.conf.worker_send_task_events is True
    assert app.conf.task_send_sent_event is True
    assert app.conf.task_default_queue == "shop"


def test_it_is_imported_into_a_settings_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its star; it brings settings of Celery only."""
    ((name, text),) = django_files(monitor()).files.items()
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / name).write_text(text)
    (package / "settings.py").write_text("from .event_monitor_settings import *\n")
    monkeypatch.syspath_prepend(tmp_path)
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.config_from_object("shop.settings", namespace="CELERY")

    assert conf_of(app)["namespace"] == HARD.namespace
    brought = {key for key in vars(sys.modules["shop.settings"]) if not key.startswith("__")}
    assert brought == {
        *("CELERY_WORKER_SEND_TASK_EVENTS", "CELERY_TASK_SEND_SENT_EVENT", "CELERY_EVENT_MONITOR")
    }
    for module in ("shop", "shop.settings", "shop.event_monitor_settings"):
        del sys.modules[module]


def test_no_password_is_written() -> None:
    """It is left to a variable, which a note names."""
    made = django_files(monitor())

    assert "QXYZ" not in str(made)
    assert any("EVENT_MONITOR_MANAGEMENT_URL" in note for note in made.notes)
    with pytest.raises(SettingsError, match="http_auth is not shown"):
        django_files(monitor(Settings(http_auth="bearer:QXYZ")))
