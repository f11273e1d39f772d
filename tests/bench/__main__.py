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
from .suites import LOSS_RATE, compare, lose, pair, scale
from .views import view

_MICRO = Path(__file__).with_name("micro.py")
_LOCK = Path(__file__).with_name("lock.py")


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.description = "Measure the monitor beside its peers, on brokers of its own."
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quick", action="store_true", help="fewer events, one round, no Flower")
    what.add_argument("--loss", action="store_true", help="a minute at --rate: any lost?")
    what.add_argument("--views", action="store_true", help="what history, page and scrapes cost")
    what.add_argument("--scaling", action="store_true", help="more workers, task names, queues")
    what.add_argument(
        "--micro", action="store_true", help="decode, record, shot, lock and encode alone"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout: both monitors in turn, and the ratio of each pair; with --micro "
        "the time its lock is held",
    )
    parser.add_argument(
        "--rate", type=int, default=LOSS_RATE, metavar="N", help="events/s of --loss"
    )
    parser.add_argument("--broker", choices=list(BROKERS), help="this one only")
    parser.add_argument(
        "--only", default="", metavar="A,B", help="rows whose name contains one of these"
    )
    parser.add_argument("--rounds", type=int, help="how often each is run; the median counts")
    asked = parser.parse_args()
    if asked.against is not None:
        asked.against = asked.against.resolve()
        if not (asked.against / "event_monitor" / "__main__.py").is_file():
            parser.error(f"there is no event_monitor in {asked.against}")
        if asked.loss or asked.scaling or asked.views:
            parser.error("--against goes with --quick, with --micro or alone")
    return asked


def micro(against: Path | None) -> int:
    """Measure single steps of this checkout, and the lock of both; return the exit code."""
    command = [sys.executable, "-m", "pytest", str(_MICRO), "--benchmark-only"]
    columns = "--benchmark-columns=min,median,iqr,rounds"
    code = subprocess.run([*command, columns], cwd=ROOT, check=False).returncode
    for checkout in (ROOT, *([against] if against else [])):
        print(f"\nThe state's lock, {checkout}:", flush=True)  # noqa: T201
        environ = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run([sys.executable, str(_LOCK)], env=environ, check=False)
        code = code or done.returncode
    return code


def main() -> int:
    """Run what was asked for; 1 if the monitor lost or miscounted anything."""
    asked = arguments()
    if asked.micro:
        return micro(asked.against)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))  # and all we started
    os.sched_setaffinity(0, OTHER_CORES)  # of the servers and the senders too
    print(f"{description()}\n", flush=True)  # noqa: T201  it is what the command is for
    if asked.loss:
        return not lose(asked.rate)
    if asked.views:
        return not view(asked.rounds or 3)
    brokers = (asked.broker,) if asked.broker else tuple(BROKERS)
    if asked.against:
        rounds = asked.rounds or 5
        return not pair(asked.against, brokers, only=asked.only, rounds=rounds, quick=asked.quick)
    rounds = asked.rounds or (1 if asked.quick else 3)
    if asked.scaling:
        return not scale(rounds)
    return not compare(brokers, asked.only, rounds=rounds, quick=asked.quick)


if __name__ == "__main__":
    sys.exit(main())
