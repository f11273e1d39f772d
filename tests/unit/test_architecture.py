"""The house: arrows point down the flow, names are honest, every station is listed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

import event_monitor

from ..support.house import PACKAGE, arrows, floors, imports, stations

# What each station may import from this package; a new one has to be listed here.
VALUES = {"distribution", "snapshot", "survey"}
GROUND = {"clock", "errors", "exchange", "quantities", "redaction", "text"}
MAY_IMPORT: dict[str, set[str]] = {
    # ground and values
    "aws_tokens": {"redaction"},
    "aws": {"aws_tokens", "children", "exchange", "redaction"},
    "catalog": set(),
    "children": set(),
    "clock": set(),
    "distribution": set(),
    "errors": set(),
    "moments": set(),
    "msgpack": set(),
    "own_code": set(),
    "pool": {"exchange"},
    "survey": set(),
    "quantities": set(),
    "redaction": set(),
    "process": {"children", "errors", "redaction", "snapshot", "text"},
    "text": {"redaction"},
    "enqueued_at": {"clock", "events"},
    "events": {"errors"},
    "exchange": set(),
    "settings": {"catalog", "errors", "exchange", "redaction"},
    "snapshot": {"distribution", "survey"},
    # the flow
    "broker": GROUND | {"events", "pool"},
    "receiver": GROUND | {"aws", "broker", "events", "msgpack", "over_sqs", "settings", "snapshot"},
    "state": GROUND | VALUES | {"events", "own_code", "settings"},
    "probes": GROUND | {"aws", "broker", "enqueued_at", "settings", "snapshot", "survey"},
    "schedules": GROUND | {"broker", "liveness", "settings", "snapshot"},
    "objectives": {"liveness", "settings", "snapshot"},
    "notices": {"clock", "snapshot", "survey", "text"},
    "leader": GROUND | {"broker", "events", "settings", "snapshot"},
    "camera": {"broker", "clock", "notices", "objectives", "schedules", "settings", "snapshot"}
    | {"state"},
    "metrics": VALUES | {"catalog", "errors", "settings", "text"},
    "sinks": GROUND | VALUES | {"aws", "aws_tokens", "catalog", "metrics", "settings"},
    "publisher": GROUND | {"metrics", "msgpack", "settings", "sinks", "snapshot"},
    "liveness": {"clock", "snapshot"},
    "history": GROUND | VALUES | {"metrics", "settings"},
    "over_sqs": {"aws", "clock", "enqueued_at", "errors", "events", "exchange", "liveness", "text"},
    # beside the flow
    "check": GROUND
    | {"aws", "leader", "over_sqs"}
    | {"broker", "events", "probes", "receiver", "settings", "sinks", "snapshot", "survey"},
    "dump": GROUND
    | {"broker", "events", "over_sqs", "probes", "receiver", "settings", "snapshot", "state"},
    "demo": GROUND | {"broker", "distribution", "over_sqs"},
    "live": GROUND | {"history", "pool", "settings", "snapshot", "status", "survey", "web"},
    "platforms": {"errors", "provision", "settings", "text"},
    "provision": GROUND | {"catalog", "metrics", "moments", "settings", "sinks", "snapshot"},
    "status": GROUND
    | {
        "broker",
        "events",
        "history",
        "liveness",
        "metrics",
        "over_sqs",
        "probes",
        "receiver",
        "settings",
        "snapshot",
    }
    | {"survey"},
    "testing": {"clock", "sinks"},
    "web": GROUND
    | VALUES
    | {"catalog", "history", "metrics", "moments", "own_code", "settings", "status"},
    # composition, and the doors
    "pipeline": GROUND
    | {"broker", "events", "leader", "over_sqs", "probes", "receiver", "settings", "snapshot"}
    | {"state", "survey"},
    "service": GROUND
    | {"over_sqs"}
    | {"broker", "camera", "history", "leader", "liveness", "notices", "pipeline", "process"}
    | {"publisher", "receiver", "schedules", "settings", "sinks", "snapshot", "state"}
    | {"status", "web"},
    "cloudwatch_cam": GROUND
    | {
        "broker",
        "camera",
        "cli",
        "process",
        "receiver",
        "service",
        "settings",
        "snapshot",
        "state",
    },
    "beat": GROUND
    | {"broker", "catalog", "liveness", "metrics", "probes", "settings", "sinks", "snapshot"}
    | {"status", "survey"},
    "cli": GROUND
    | {"broker", "catalog", "check", "demo", "dump", "history", "live", "liveness", "metrics"}
    | {"moments", "over_sqs"}
    | {"platforms", "probes", "process", "provision", "schedules", "service"}
    | {"settings", "status"},
    "__init__": VALUES
    | {"camera", "cloudwatch_cam", "enqueued_at", "errors", "metrics", "over_sqs", "settings"}
    | {"sinks", "state"},
    "__main__": {"cli"},
}
CELERY_STATIONS = {
    "beat",
    "broker",
    "camera",
    "check",
    "cli",
    "cloudwatch_cam",
    "demo",
    "enqueued_at",
    "leader",
    "over_sqs",
    "pipeline",
    "probes",
    "receiver",
    "schedules",
    "service",
    "state",
    "status",
}
BOTO3_STATIONS = {
    "aws",
    "aws_tokens",
    "check",
    "over_sqs",
    "probes",
    "provision",
    "receiver",
    "sinks",
}


def test_every_station_is_listed_here() -> None:
    """A new room is put in its place on purpose."""
    assert set(stations()) == set(MAY_IMPORT)


@pytest.mark.parametrize("station", sorted(MAY_IMPORT))
def test_a_station_imports_only_what_is_upstream_of_it(station: str) -> None:
    """Arrows point down the flow only."""
    assert arrows()[station] <= MAY_IMPORT[station]


def test_no_arrows_form_a_circle() -> None:
    """Not even over several stations."""
    assert max(floors(arrows()).values()) <= 11


def test_only_the_stations_that_need_it_import_celery_or_boto3() -> None:
    """Pure stations stay pure; AWS is one folder."""
    for station, paths in stations().items():
        names = set().union(*(imports(path) for path in paths))
        if station not in CELERY_STATIONS:
            assert not names & {"celery", "kombu"}, station
        if station not in BOTO3_STATIONS:
            assert not names & {"boto3", "botocore"}, station


def test_only_settings_reads_the_environment() -> None:
    """One place to look for what a variable does. The demo makes environments for others."""
    readers = {
        station
        for station, paths in stations().items()
        if any("os.environ" in path.read_text() for path in paths)
    }
    assert readers <= {"settings", "demo"}


def test_only_the_clock_reads_and_spends_time() -> None:
    """Everybody else is handed one, so that tests can bring their own."""
    calls = re.compile(r"\btime\.(time|monotonic|sleep|perf_counter|process_time)\b")
    readers = {
        station
        for station, paths in stations().items()
        if any(calls.search(path.read_text()) for path in paths)
    }
    assert readers == {"clock"}


def test_any_is_rare() -> None:
    """It stands only where Celery, click or botocore force it: in under 3 % of the functions."""
    functions = [
        node
        for paths in stations().values()
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    with_any = [node for node in functions if re.search(r"\bAny\b", _signature(node))]
    assert len(with_any) / len(functions) < 0.03


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return ast.unparse(function.args) + returns


def test_all_is_sorted_and_honest() -> None:
    """Every public name exists."""
    assert event_monitor.__all__ == sorted(event_monitor.__all__)
    for name in event_monitor.__all__:
        assert getattr(event_monitor, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = event_monitor.nothing


def test_importing_the_package_imports_nothing_slow() -> None:
    """Neither Celery nor boto3 until a name is used."""
    code = (
        "import sys, event_monitor; "
        "print(sorted({'celery', 'kombu', 'boto3', 'msgspec', 'sqlite3'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_module_opens_with_its_station() -> None:
    """The first line says what the file is for."""
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path
