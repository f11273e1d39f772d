"""Line output: no line is ever appended to the rest of another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from event_monitor.sinks.line_output import AppendedFile


def test_what_a_full_disk_kept_from_being_ended_is_ended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A predecessor's line is cut, and there is no room for its end when we come."""
    path = tmp_path / "emf.log"
    path.write_bytes(b'{"cut')
    output = AppendedFile(str(path))

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            output.open()

    descriptor, is_elsewhere = output.open()
    os.write(descriptor, b"{}\n")
    output.close()
    assert is_elsewhere
    assert path.read_bytes() == b'{"cut\n{}\n'
