"""Recorder: a process that subscribes with Celery's own receiver and writes every raw event down.

``python -m tests.soak.recorder FILE``: one JSON line per event, in the order of arrival; an empty
line first, when it has subscribed. It shares no code with the monitor.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import IO

from ..support.listener import Listener
from .app import app


class _Recorder(Listener):
    output: IO[str]

    def receive(self, body: object, message: object) -> None:
        del message
        for event in body if isinstance(body, list) else [body]:
            self.output.write(json.dumps(event) + "\n")


def main(path: Path) -> None:
    """Record until killed."""
    with path.open("w", buffering=1, encoding="utf-8") as output, app.connection() as connection:
        recorder = _Recorder(connection, app=app, accept={"json"})
        recorder.output = output
        listening = threading.Thread(target=_listen, args=(recorder,), daemon=True)
        listening.start()
        recorder.wait_until_ready(60)
        output.write("\n")
        listening.join()


def _listen(recorder: _Recorder) -> None:
    for _ in recorder.consume(limit=None):
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
