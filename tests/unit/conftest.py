"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest

from event_monitor.liveness import liveness, sockets


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's URL had for a password may be a word of the next one's sentences."""
    monkeypatch.setattr("event_monitor.redaction._secrets", set())


@pytest.fixture(autouse=True)
def _sockets_of_this_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a health check find no monitor of another test's: sockets belong to the whole machine."""
    made: set[str] = set()
    bind, find = sockets.NoteSocket.__init__, sockets.find_sockets

    def bind_and_note(socket: sockets.NoteSocket, name: str) -> None:
        bind(socket, name)
        made.add(name)

    def find_ours(pattern: str) -> tuple[tuple[str, str], ...]:
        return tuple((owner, name) for owner, name in find(pattern) if name in made)

    monkeypatch.setattr(sockets.NoteSocket, "__init__", bind_and_note)
    monkeypatch.setattr(liveness, "find_sockets", find_ours)
