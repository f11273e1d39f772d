"""The house: which station imports which, read from the code. Run it to see the figures.

``python -m tests.support.house [PACKAGE]`` prints rooms, floors and arrows. A station is a folder
or a file on the top level of the package; its floor is the longest chain of arrows below it.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "event_monitor"


@cache
def stations(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Return the files of each station."""
    found: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        found.setdefault(path.relative_to(package).parts[0].removesuffix(".py"), []).append(path)
    return found


@cache
def imports(path: Path, package: Path = PACKAGE) -> set[str]:
    """Return the modules a file imports, at any depth of code.

    Those of this package are named by their station, with a leading dot.
    """
    depth = len(path.relative_to(package).parts)
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


def arrows(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Return for each station the stations it imports."""
    found = stations(package)
    return {
        station: {
            name[1:]
            for path in paths
            for name in imports(path, package)
            if name.startswith(".") and name[1:] in found
        }
        - {station}
        for station, paths in found.items()
    }


def floors(arrows_of: dict[str, set[str]]) -> dict[str, int]:
    """Return how high each station stands; ``ValueError`` where arrows form a circle."""

    @cache
    def floor(station: str, above: frozenset[str] = frozenset()) -> int:
        if station in above:
            raise ValueError(f"{station} imports itself through others")
        below = arrows_of[station]
        return 1 + max((floor(name, above | {station}) for name in below), default=0)

    return {station: floor(station) for station in arrows_of}


def main(package: Path = PACKAGE) -> None:
    """Print the figures, then each floor."""
    found = arrows(package)
    heights = floors(found)
    count = sum(map(len, found.values()))
    sys.stdout.write(f"{len(found)} rooms, {max(heights.values())} floors, {count} arrows\n")
    for height in range(1, max(heights.values()) + 1):
        names = sorted(name for name, at in heights.items() if at == height)
        sys.stdout.write(f"{height:>3}  {' '.join(names)}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
