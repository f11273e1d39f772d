"""``python -m event_monitor``: the command line, where the console script is not on the path."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="event-monitor")
