"""Output folder: writes generated files, over nothing that somebody else has made.

A file of Terraform has a mark in its first line. JSON takes no comments: a manifest in the folder
has the digests of what was written, so one that was changed by hand is not ours any more. A file
of secrets (``.env``) is closed to other users, and left alone once it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import SettingsError

__all__ = ["MANIFEST", "MARK_LINE", "PlannedFile", "carry_out", "marked", "plan_files"]

MARK_LINE = "# Made by `event-monitor provision`; changes by hand are lost when it is run again.\n"
MANIFEST = ".event-monitor.json"
_MAX_READ_BYTES = 10_000_000  # nothing of ours is as large

Verb = Literal["create", "replace", "unchanged", "kept", "not ours"]
_LEFT_ALONE = frozenset({"unchanged", "kept"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file that is to be written, and what that does to the folder."""

    path: Path
    text: str
    verb: Verb

    def __str__(self) -> str:
        return f"{self.verb:9}  {self.path}"


def marked(name: str, text: str) -> str:
    """Return the text as it is written to a file of that name."""
    return f"{MARK_LINE}\n{text}" if name.endswith(".tf") else text


def plan_files(files: Mapping[str, str], folder: Path) -> tuple[PlannedFile, ...]:
    """Return what is to be written where; ``SettingsError`` if the folder cannot be read."""
    try:
        digests = _digests(folder)
        return tuple(
            PlannedFile(
                path=folder / name,
                text=marked(name, text),
                verb=_verb(folder / name, marked(name, text).encode(), digests.get(name, "")),
            )
            for name, text in files.items()
        )
    except OSError as error:
        raise _refused(folder, error) from error


def carry_out(planned: tuple[PlannedFile, ...], folder: Path) -> None:
    """Write what is not there yet; ``SettingsError`` if that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digests = _digests(folder)
        for file in planned:
            if file.verb not in _LEFT_ALONE:
                _write(file.path, file.text)
            if file.path.suffix == ".json":
                digests[file.path.name] = _digest(file.text.encode())
        if digests:
            manifest = json.dumps({"sha256": digests}, indent=2, sort_keys=True) + "\n"
            (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    except OSError as error:
        raise _refused(folder, error) from error


def _write(path: Path, text: str) -> None:
    mode = 0o600 if path.suffix == ".env" else 0o666  # less what the umask takes
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _verb(path: Path, wanted: bytes, digest: str) -> Verb:
    if not path.is_symlink() and not path.exists():
        return "create"
    if path.suffix == ".env":
        return "kept"
    if not path.is_file():
        return "not ours"
    with path.open("rb") as file:
        found = file.read(_MAX_READ_BYTES)
    if found == wanted:
        return "unchanged"
    ours = found.startswith(MARK_LINE.encode()) or _digest(found) == digest
    return "replace" if ours else "not ours"


def _digests(folder: Path) -> dict[str, str]:
    """Return file name → digest by the manifest; nothing if there is none that can be read."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_READ_BYTES))["sha256"]
        return dict(_pairs(found))
    except (ValueError, TypeError, KeyError):
        return {}


def _pairs(found: object) -> Iterator[tuple[str, str]]:
    for name, digest in found.items() if isinstance(found, dict) else ():
        if isinstance(digest, str):
            yield name, digest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _refused(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(f"--out {folder} cannot be written to: {error.strerror}.")
