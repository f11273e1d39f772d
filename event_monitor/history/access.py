"""Access: who may read the history besides its monitor's own user, and root: one group."""

from __future__ import annotations

import grp
import logging
import os
from pathlib import Path

from ..errors import SettingsError

__all__ = ["group_id", "let_group_in", "let_group_read"]

log = logging.getLogger(__name__)

_FILE_MODE, _GROUP_FILE_MODE = 0o600, 0o640
_GROUP_DIRECTORY_MODE = 0o2750  # the files that SQLite makes in it belong to its group


def group_id(name: str) -> int | None:
    """Return the number of the group; None if none is named. ``SettingsError`` if there is none."""
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise SettingsError(f"state_group is {name!r}, and there is no such group here.") from None


def let_group_in(directory: Path, group: int | None) -> None:
    """Let the members of a group look into the directory; not into other files that are in it."""
    if group is None:
        return
    found = directory.stat()
    if found.st_gid == group and found.st_mode & 0o7777 == _GROUP_DIRECTORY_MODE:
        return
    try:
        os.chown(directory, -1, group)
        directory.chmod(_GROUP_DIRECTORY_MODE)
    except OSError as error:
        log.warning("state_group may not look into %s: %s", directory, error.strerror)


def let_group_read(descriptor: int, group: int | None) -> None:
    """Let the members of a group, if there is one, read an open file, and nobody else."""
    try:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, _FILE_MODE if group is None else _GROUP_FILE_MODE)
    except OSError as error:  # a file system without modes, or a group that is not ours
        if group is not None:
            log.warning("state_group may not read the history: %s", error.strerror)
