"""``scripts/bench``: see ``--help``."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from .brokers import BROKERS
from .machine import description
from .subject import OTHER_CORES, ROOT
from .suites import compare, lose, scale

_MICRO = Path(__file__).with_name("micro.py")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.description = "Measure the monitor beside its peers, on brokers of its own."
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="fewer events, one round, no Flower")
    what.add_argument("--loss", action="store_true", help="50,000 events/s for a minute: any lost?")
    what.add_argument("--scaling", action="store_true", help="more workers, more task names")
    what.add_argument("--micro", action="store_true", help="decode, record, shot and encode alone")
    parser.add_argument("--broker", choices=list(BROKERS), help="this one only")
    parser.add_argument(
        "--only", default="", metavar="A,B", help="rows whose name contains one of these"
    )
    parser.add_argument("--rounds", type=int, help="how often each is run; the median counts")
    return parser.parse_args()


def main() -> int:
    """Run what was asked for; 1 if the monitor lost or miscounted anything."""
    asked = arguments()
    if asked.micro:
        command = [sys.executable, "-m", "pytest", str(_MICRO), "--benchmark-only"]
        columns = "--benchmark-columns=min,median,iqr,rounds"
        return subprocess.run([*command, columns], cwd=ROOT, check=False).returncode
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))  # with all we have started
    os.sched_setaffinity(0, OTHER_CORES)  # and so are the servers and the senders
    print(f"{description()}\n", flush=True)  # noqa: T201  it is what the command is for
    if asked.loss:
        return not lose()
    rounds = asked.rounds or (1 if asked.quick else 3)
    if asked.scaling:
        return not scale(rounds)
    brokers = (asked.broker,) if asked.broker else tuple(BROKERS)
    return not compare(brokers, asked.only, rounds=rounds, quick=asked.quick)


if __name__ == "__main__":
    sys.exit(main())
