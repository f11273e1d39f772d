"""Notes: small files from one process to the next, believed only where nobody else can forge them.

They are in ``state_dir``; without one, in a directory of this user's own among the temporary files,
where there are any.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "NOTE_BYTES",
    "decoded",
    "encoded",
    "find_notes",
    "name_of",
    "own_name",
    "owner_of",
    "read_note",
    "runtime_dir",
    "visible_names",
    "why_unbelieved",
    "write_note",
]

NOTE_BYTES = 10_000  # at most; one of ours has two hundred
_MOST = 100  # notes that are looked into
_TEMPORARY = Path("/tmp")  # noqa: S108  what is written there is checked, see ``write_note``
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def name_of(uid: int) -> str:
    """Return the name under which the notes of this user are kept."""
    return f"event-monitor-{uid}"


def own_name() -> str:
    """Return the same of our own user."""
    return name_of(os.geteuid())


def visible_names() -> str:
    """Return the names, as a glob, under which there are notes that this user believes."""
    return "event-monitor-*" if os.geteuid() == 0 else own_name()


def owner_of(directory: Path) -> str:
    """Return the name of the user whose directory it is; ours if that cannot be found out."""
    try:
        return name_of(directory.stat().st_uid)
    except OSError:
        return own_name()


def runtime_dir(state_dir: str, *, temporary_dir: Path | None = None) -> Path:
    """Return where notes are kept. It may not exist yet, and nobody may be able to make it."""
    if state_dir:
        return Path(state_dir)
    return _temporary(temporary_dir) / own_name()


def find_notes(pattern: str, *, temporary_dir: Path | None = None) -> Iterator[Path]:
    """Yield the notes among the temporary files of the users whom we believe.

    They are a hundred at most, our own user's first: anybody may leave thousands.
    """
    directory = _temporary(temporary_dir)
    own = sorted(directory.glob(f"{own_name()}/{pattern}"))
    found: set[Path] = set()
    for path in chain(own, directory.glob(f"{visible_names()}/{pattern}")):
        if len(found) == _MOST:
            return
        if path not in found:
            found.add(path)
            yield path


def write_note(
    path: Path, note: Mapping[str, object], *, temporary_dir: Path | None = None
) -> os.stat_result:
    """Replace the note in one step; make its directory if need be. Return what was written.

    Raises ``OSError``. Every user may make directories among the temporary files, so one that
    another user has made in our name, or a link to somewhere else, is refused.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.parent == _temporary(temporary_dir):
        found = path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise PermissionError(f"{path.parent} is not a directory of this user's own")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encoded(note))
            written = os.fstat(file.fileno())
        if written.st_uid != os.geteuid():  # a network file system that has its own idea of users
            raise PermissionError(f"files in {path.parent} belong to uid {written.st_uid}, not us")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return written


def read_note(
    path: Path, *, is_ours: bool = False, most_bytes: int = NOTE_BYTES
) -> dict[str, object]:
    """Return the note; an empty one if there is none that can be read and believed.

    ``is_ours``: only this user may have written it, also where root looks. A longer one than
    ``most_bytes`` is none.
    """
    try:
        with _opened(path) as file:
            status = os.fstat(file.fileno())
            if is_ours and status.st_uid != os.geteuid():
                return {}
            if _why_unbelieved(status) is None:
                return decoded(file.read(most_bytes))
    except OSError:
        pass
    return {}


def why_unbelieved(path: Path) -> str | None:
    """Return why a note that is there is not believed, such as "it belongs to uid 1000"."""
    try:
        with _opened(path) as file:
            return _why_unbelieved(os.fstat(file.fileno()))
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def encoded(note: Mapping[str, object]) -> bytes:
    """Return the bytes of a note."""
    return json.dumps(note).encode()


def decoded(data: bytes) -> dict[str, object]:
    """Return the note that these bytes are, whatever they are; an empty one if they are none."""
    try:
        note = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}


def _temporary(temporary_dir: Path | None) -> Path:
    """Return the directory of temporary files, which may be one where nothing can be written.

    Python takes the current directory if no other can be written to. A health check may have
    another one.
    """
    if temporary_dir is not None:
        return temporary_dir
    try:
        found = Path(tempfile.gettempdir())
        is_last_resort = found == Path.cwd() and not os.access(_TEMPORARY, os.W_OK)
    except FileNotFoundError:
        return _TEMPORARY
    return _TEMPORARY if is_last_resort else found


def _opened(path: Path) -> BinaryIO:
    # A pipe of somebody's would be waited for.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _why_unbelieved(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        return f"it belongs to uid {found.st_uid}"
    if found.st_mode & _WRITABLE_BY_OTHERS:
        return "other users may write to it"
    return None
