"""The house: arrows point down the flow, names are honest, files stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import event_monitor

PACKAGE = Path(event_monitor.__file__).parent

# What each station may import from this package, and which heavy libraries, at any depth of code.
PURE = {"catalog", "clock", "distribution", "errors", "snapshot", "survey"}
MAY_IMPORT: dict[str, set[str]] = {
    "catalog": set(),
    "clock": set(),
    "errors": set(),
    "text": set(),
    "distribution": set(),
    "msgpack": set(),
    "snapshot": {"distribution", "survey"},
    "survey": set(),
    "events": {"errors"},
    "settings": {"catalog", "errors"},
    "metrics": {"catalog", "distribution", "settings", "snapshot", "survey", "text"},
    "broker": {"clock", "events"},
    "receiver": {"broker", "clock", "errors", "events", "msgpack", "settings", "snapshot", "text"},
    "state": PURE | {"events", "settings", "text"},
    "camera": {"clock", "settings", "snapshot", "state"},
    "probes": {"broker", "clock", "settings", "snapshot", "survey", "text"},
    "publisher": {"clock", "distribution", "errors", "metrics", "msgpack", "sinks", "snapshot"},
    "sinks": PURE | {"metrics", "settings", "text"},
    "liveness": {"clock"},
    "provision": {"catalog", "errors", "metrics", "settings", "sinks"},
}
CELERY_STATIONS = {
    "beat",
    "broker",
    "camera",
    "check",
    "cli",
    "cloudwatch_cam",
    "demo",
    "probes",
    "receiver",
    "service",
    "state",
    "status",
}
BOTO3_STATIONS = {"check", "probes", "provision", "sinks"}


def stations() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(path)
    return found


def imports(path: Path) -> set[str]:
    """Imported modules; those of this package by their station, with a leading dot."""
    depth = len(path.relative_to(PACKAGE).parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                names.add((node.module or "").partition(".")[0])
            elif node.level == depth:  # from the package's top
                parts = (node.module or "").split(".")
                names |= {f".{parts[0]}"} if parts[0] else {f".{a.name}" for a in node.names}
    return names


@pytest.mark.parametrize("station", sorted(MAY_IMPORT))
def test_a_station_imports_only_what_is_upstream_of_it(station: str) -> None:
    """Arrows point down the flow only."""
    ours = {name[1:] for path in stations()[station] for name in imports(path) if name[0] == "."}
    assert ours - {station} <= MAY_IMPORT[station]


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
    for paths in stations().values():
        for path in paths:
            assert ast.get_docstring(ast.parse(path.read_text())), path
