"""Users: tests that act as another user of the machine, as only root can."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65_534


def require_root() -> None:
    """Skip the test at a desk, where nobody may become another user; fail it in CI."""
    if os.geteuid() == 0:
        return
    sentence = "only root can become another user"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Let this process be another user for a while."""
    require_root()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def public_folder() -> Iterator[Path]:
    """Make a temporary folder that every user may reach and write to; pytest's are private."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path
