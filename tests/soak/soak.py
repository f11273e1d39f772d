"""Soak: lets a plan happen to a fleet, brings all to rest, and compares."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .comparison import Row, biography, compare, differing_workers, table
from .director import Director
from .fleet import Fleet, slots
from .plan import PAUSE_SECONDS, make_plan
from .producer import LONG_SECONDS, Producer
from .rest import come_to_rest, wait_for_verdicts
from .stage import Stage, stage
from .truth import Note, Truth, find_truth

TICK_SECONDS = 0.1
SHORT_SOAK_SECONDS = 120.0  # up to here: shorter tasks and pauses, so that the end comes soon
SHORT_TASK_SECONDS, SHORT_PAUSE_SECONDS = 12.0, 20.0  # still longer than the grace
FIRST_ACTION_SECONDS = 12.0  # about when the workers are ready
LAST_ACTION_SECONDS = 18.0  # before the end: what was begun takes its time

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Result:
    """``text`` is the report; ``is_right`` whether the monitor was right about everything."""

    text: str
    is_right: bool


def soak(
    folder: Path, *, broker: str, seconds: float, seed: int, say: Say = lambda _: None
) -> Result:
    """Run for so many ``seconds``, and until all is at rest; ``say`` gets a line per action.

    Raises AssertionError when something does not come to its end.
    """
    longest = SHORT_TASK_SECONDS if seconds <= SHORT_SOAK_SECONDS else max(LONG_SECONDS)
    with stage(folder, broker=broker, longest_task_seconds=longest) as on:
        fleet = Fleet(folder, on.environ, on.recording)
        producer = Producer(seed, longest_seconds=longest)
        director = Director(fleet, slots(), on.monitor, on.recording)
        started_at = time.time()
        try:
            _act(director, producer, seed=seed, seconds=seconds, say=say)
            come_to_rest(director, fleet, on.recording)
            say("at rest, waiting for the last verdicts")
            wait_for_verdicts(fleet, on)
            for process in (on.monitor, on.recorder):
                assert process.exit_code is None, process.output
            exit_code = on.monitor.stop()
            on.write_down_published()
            on.recording.read()
            truth = _truth(fleet, producer, on)
            return _report(truth, fleet, on, director, exit_code=exit_code, since=started_at)
        finally:
            producer.stop()
            fleet.close()


def _report(
    truth: Truth, fleet: Fleet, on: Stage, director: Director, *, exit_code: int, since: float
) -> Result:
    wrong = [f"the monitor ended with {exit_code}"] if exit_code else []
    wrong += [f"contradiction: {sentence}" for sentence in truth.contradictions]
    if cut_off := on.cut_off():
        wrong.append(f"Redis cut off {cut_off} slow subscribers: EventsLost is not known")
    rows = tuple(compare(truth, on.cloudwatch))
    by_worker = tuple(_by_worker(truth, on, fleet, since=since))
    done = ", ".join(f"{times} × {kind}" for kind, times in sorted(director.done.items()))
    sent = truth.counts["TasksSent"].total()
    lines = [
        f"{len(fleet.lives)} worker processes, {sent} messages; {done}",
        *_never_sent(truth),
        "",
        table(rows),
        *by_worker,
        *wrong,
    ]
    is_right = not (wrong or by_worker or any(row.differs for row in rows))
    return Result("\n".join(lines), is_right)


def _act(director: Director, producer: Producer, *, seed: int, seconds: float, say: Say) -> None:
    """Do what the plan says, and wait for the end of what was begun."""
    start = time.monotonic()
    plan = list(
        make_plan(
            seed,
            seconds=seconds - LAST_ACTION_SECONDS,
            first_at=FIRST_ACTION_SECONDS,
            longest_pause=(
                SHORT_PAUSE_SECONDS if seconds <= SHORT_SOAK_SECONDS else PAUSE_SECONDS[1]
            ),
        )
    )
    director.start_all()
    producer.start()
    while (now := time.monotonic() - start) < seconds or not director.is_idle:
        director.tick()
        if plan and plan[0].at <= now < seconds and director.begin(plan[0]):
            action = plan.pop(0)
            say(f"{now:6.1f} s  {action.kind} {action.seconds:.0f}")
        if now > seconds - LAST_ACTION_SECONDS:
            producer.send_only_short()
        time.sleep(TICK_SECONDS)
    producer.stop()


def _truth(fleet: Fleet, producer: Producer, on: Stage) -> Truth:
    ledgers = {life.number: _notes(fleet.ledger(life.number)) for life in fleet.lives}
    (on.folder / "tasks.json").write_text(json.dumps(producer.names, indent=1))
    return find_truth(
        events=on.recording.events, lives=fleet.lives, ledgers=ledgers, names=producer.names
    )


def _notes(path: Path) -> list[Note]:
    if not path.exists():
        return []  # it never ran a task
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Note(line["what"], line["uuid"]) for line in lines]


def _never_sent(truth: Truth) -> Iterator[str]:
    """Yield what never reached the broker, task by task."""
    yield f"never reached the broker: {len(truth.never_sent)} events"
    for event in truth.never_sent:
        how = "killed" if event.was_killed else "NOT killed"
        yield (
            f"    {event.what} of {event.task} {event.uuid} on {event.worker}, "
            f"process {event.life} ({how})"
        )


def _by_worker(truth: Truth, on: Stage, fleet: Fleet, *, since: float) -> Iterator[str]:
    """Yield where the numbers differ by worker, with what happened to its processes."""
    lives = fleet.lives
    rows: dict[str, list[Row]] = {}
    for worker, row in differing_workers(truth, on.cloudwatch, (life.name for life in lives)):
        rows.setdefault(worker, []).append(row)
    for worker, differing in rows.items():
        yield f"\n{table(differing)}"
        yield biography((life for life in lives if life.name == worker), since=since)
