"""Registry: built-in sinks by name, and those that installed packages bring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from event_monitor.errors import SettingsError, UnavailableError
from event_monitor.settings import Settings
from event_monitor.sinks.console import ConsoleSink
from event_monitor.sinks.emf import EmfSink
from event_monitor.sinks.registry import make_sink
from event_monitor.testing import MemorySink

PLUG_INS = """
from event_monitor.testing import MemorySink

def memory(settings, *, clock):
    sink = MemorySink()
    sink.made_with = (settings.namespace, clock)
    return sink

def broken(settings, *, clock):
    raise OSError("no statsd here")

def halfway(settings, *, clock):
    return object()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that brings four sinks, one of which has the name of a built-in one."""
    (tmp_path / "shop_sinks.py").write_text(PLUG_INS)
    metadata = tmp_path / "shop_sinks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-sinks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[event_monitor.sinks]\n"
        "shop-memory = shop_sinks:memory\n"
        "broken = shop_sinks:broken\n"
        "halfway = shop_sinks:halfway\n"
        "missing = shop_sinks:nothing\n"
        "console = shop_sinks:memory\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop_sinks", raising=False)


def named(name: str) -> Settings:
    return Settings.load(environ={"EVENT_MONITOR_SINK": name})


def test_built_in_sinks_are_found_by_name() -> None:
    """Also from a source tree that was never installed."""
    assert isinstance(make_sink(named("console")), ConsoleSink)
    assert isinstance(make_sink(named("emf")), EmfSink)


@pytest.mark.usefixtures("installed")
def test_a_package_brings_a_sink_through_an_entry_point() -> None:
    """Its factory gets the settings and a clock; a built-in name cannot be taken over."""
    assert isinstance(make_sink(named("shop-memory")), MemorySink)
    assert isinstance(make_sink(named("console")), ConsoleSink)


@pytest.mark.usefixtures("installed")
def test_an_unknown_sink_is_answered_with_those_there_are() -> None:
    """One sentence, and the one that was probably meant."""
    with pytest.raises(SettingsError) as raised:
        named("shop-memroy")

    assert str(raised.value) == (
        "EVENT_MONITOR_SINK is 'shop-memroy'; it must be `cloudwatch`, `console`, `emf` or the "
        "sink of an installed package: installed are broken, halfway, missing, shop-memory "
        "(did you mean 'shop-memory'?)."
    )


def test_where_no_package_brings_one_that_is_said() -> None:
    """A built-in name with a slip in it is recognised."""
    with pytest.raises(SettingsError) as raised:
        named("cloudwach")

    assert str(raised.value) == (
        "EVENT_MONITOR_SINK is 'cloudwach'; it must be `cloudwatch`, `console`, `emf` or the sink "
        "of an installed package: none is installed (did you mean 'cloudwatch'?)."
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "broken",
            "the sink 'broken' (shop_sinks:broken) cannot be made: OSError: no statsd here.",
        ),
        (
            "missing",
            "the sink 'missing' (shop_sinks:nothing) cannot be made: AttributeError: "
            "module 'shop_sinks' has no attribute 'nothing'.",
        ),
        (
            "halfway",
            "the sink 'halfway' (shop_sinks:halfway) has no send or check or close; "
            "event_monitor.Sink says what a sink can do.",
        ),
    ],
)
def test_a_sink_that_cannot_be_made_is_one_sentence(name: str, sentence: str) -> None:
    """Whatever the package does wrong."""
    with pytest.raises(UnavailableError) as raised:
        make_sink(named(name))

    assert str(raised.value) == sentence


def test_a_sink_that_was_uninstalled_is_a_settings_error() -> None:
    """Settings may have been made by hand."""
    with pytest.raises(SettingsError, match="there is no sink 'gone'"):
        make_sink(Settings(sink="gone"))


def test_a_built_in_name_looks_into_no_package() -> None:
    """Every `celery` command pays for what is imported."""
    code = (
        "import sys; from event_monitor.settings import Settings; "
        "Settings.load(environ={'EVENT_MONITOR_SINK': 'emf'}); "
        "print(sorted({'importlib.metadata', 'botocore'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.strip() == "[]"
