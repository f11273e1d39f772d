"""File: opens the history to read, and says in a sentence why it cannot be read."""

from __future__ import annotations

import os
import pwd
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UnavailableError
from ..text import one_line
from .schema import EarlierVersionError, LaterVersionError, require_ours

__all__ = ["FILE_NAME", "explained", "opened", "require_file"]

FILE_NAME = "history.sqlite3"

_BUSY_SECONDS = 1.0


def require_file(path: Path) -> None:
    """Raise ``UnavailableError`` if there is no such file, or this user may not read it."""
    try:
        if path.is_fifo():  # to open it would wait for whoever writes to it
            raise UnavailableError(f"the history {str(path)!r} is no file.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise UnavailableError(
            f"there is no history in {str(path.parent.absolute())!r}; run the monitor with the "
            "settings history and state_dir, and give the same state_dir here."
        ) from None
    except OSError as error:
        raise UnavailableError(_why_unreadable(path, error)) from error


def opened(path: Path) -> sqlite3.Connection:
    """Open the file to read.

    Somebody who may only read cannot make the shared memory that a log needs. It is there while the
    monitor runs; after that nothing changes the file, and it is read as it is.
    """
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        return _connected(path, "mode=ro&immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
        timeout=_BUSY_SECONDS,
    )
    try:
        if not require_ours(database):
            raise sqlite3.DatabaseError("it is empty")
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def explained(path: Path | None) -> Iterator[None]:
    """Turn an error of SQLite into a sentence for a person."""
    where = "the history" if path is None else f"the history {str(path)!r}"
    try:
        yield
    except EarlierVersionError as error:
        raise UnavailableError(
            f"{where} was written by an earlier version of this program ({one_line(error)}); "
            "its monitor brings it up to date when it starts."
        ) from error
    except LaterVersionError as error:
        raise UnavailableError(
            f"{where} was written by a later version of this program ({one_line(error)}); "
            "use that version."
        ) from error
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"{where} cannot be read: {one_line(error)}.") from error
    except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
        raise UnavailableError(
            f"{where} is damaged ({one_line(error)}); the monitor moves it aside when it starts "
            "next, and begins a new one."
        ) from error


def _why_unreadable(path: Path, error: OSError) -> str:
    """Return who may read what we may not."""
    sentence = f"the history {str(path)!r} cannot be read: {error.strerror}"
    for place in (path, path.parent):
        try:
            uid = place.stat().st_uid
        except OSError:
            continue
        if isinstance(error, PermissionError) and uid != os.geteuid():
            return f"{sentence}; it belongs to {_user(uid)}: run this as that user or as root."
    return f"{sentence}."


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
