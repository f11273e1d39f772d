"""``scripts/soak``: see ``--help``."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from .soak import soak


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/soak")
    parser.description = (
        "Stop, kill and double twenty real workers and pause the monitor, then compare every "
        "verdict and every count with the truth; ends with 1 if anything differs."
    )
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    parser.add_argument("--seed", type=int, help="what happens, in which order (from the clock)")
    parser.add_argument("--folder", type=Path, help="keep logs, recording and process table there")
    return parser.parse_args()


def main() -> int:
    """Run it, print the report and return the exit code."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))  # and all we started
    seed = asked.seed if asked.seed is not None else int(time.time())
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        _say(f"{asked.broker}, {asked.seconds:g} s, --seed {seed}")
        result = soak(folder, broker=asked.broker, seconds=asked.seconds, seed=seed, say=_say)
    _say(f"\n{result.text}\n\n{'All equal.' if result.is_right else 'WRONG.'}")
    return not result.is_right


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  it is what the command is for


if __name__ == "__main__":
    sys.exit(main())
