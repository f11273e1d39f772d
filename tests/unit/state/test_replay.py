"""Replay: streams recorded from real workers add up to what was done, to the last event."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from event_monitor import events as ev
from event_monitor.metrics import metrics_from
from event_monitor.settings import Settings
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.mix import BY_TASK, TOTALS

RECORDINGS = Path(__file__).parents[2] / "support" / "recordings"


def bodies(broker: str) -> list[bytes]:
    lines = (RECORDINGS / f"{broker}.jsonl").read_text().splitlines()
    return [json.dumps(json.loads(line)["body"]).encode() for line in lines]


def replay(stream: list[bytes], *, shoot_every: int) -> dict[tuple[str, ...], float]:
    """Sum of every count, by metric and TaskName, over shots taken in between."""
    state, sums = State(Settings(), clock=FakeClock()), dict[tuple[str, ...], float]()
    for at, body in enumerate(stream, start=1):
        state.observe(ev.decode([body], on_invalid=state.refuse))
        if at % shoot_every == 0 or at == len(stream):
            snapshot = state.freeze_while(state.expose).develop()
            for metric in metrics_from(snapshot, Settings()):
                if isinstance(metric.value, (int, float)):
                    key = (metric.name, *(value for _, value in metric.dimensions))
                    sums[key] = sums.get(key, 0) + metric.value
    sums["TasksInFlight",] = snapshot.tasks_in_flight
    return sums


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.parametrize("shoot_every", [1, 7, 1_000])
def test_the_sums_are_the_truth_wherever_the_shots_fall(broker: str, shoot_every: int) -> None:
    """Total and per task, in the order in which the broker delivered."""
    sums = replay(bodies(broker), shoot_every=shoot_every)
    assert {name: sums[name,] for name in TOTALS} == TOTALS
    for name, by_task in BY_TASK.items():
        assert {
            key[1]: total for key, total in sums.items() if key[0] == name and key[1:] and total
        } == by_task
    assert (sums["EventsInvalid",], sums["TasksInFlight",]) == (0, 0)


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@pytest.mark.parametrize("seed", range(5))
def test_the_totals_hold_when_messages_of_different_senders_change_places(
    broker: str, seed: int
) -> None:
    """Order holds within one sender only: whatever the interleaving, nothing is lost or doubled."""
    # Given each sender's own messages in order
    senders: dict[str, list[bytes]] = {}
    for body in bodies(broker):
        event = json.loads(body)
        first = event[0] if isinstance(event, list) else event
        senders.setdefault(f"{first['hostname']}{first.get('pid')}", []).append(body)

    # When they are delivered in another order among each other
    rng = random.Random(seed)
    stream = []
    while senders:
        sender = rng.choice(sorted(senders))
        stream.append(senders[sender].pop(0))
        if not senders[sender]:
            del senders[sender]

    # Then every total is the truth
    sums = replay(stream, shoot_every=7)
    assert {name: sums[name,] for name in TOTALS} == TOTALS
