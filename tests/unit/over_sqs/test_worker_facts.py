"""Worker facts: what a worker adds to its heartbeats is what the monitor decodes."""

from __future__ import annotations

import json
from types import SimpleNamespace

from event_monitor import events as ev
from event_monitor.over_sqs.worker_facts import worker_facts


def test_every_fact_is_decoded_and_none_is_missing() -> None:
    """Of a worker that can tell them all."""
    queue = SimpleNamespace(name="mail", exchange=SimpleNamespace(type="direct"))
    worker = SimpleNamespace(
        app=SimpleNamespace(tasks={}),
        pool=SimpleNamespace(
            info={"implementation": "celery.concurrency.prefork:TaskPool", "max-concurrency": 2}
        ),
        consumer=SimpleNamespace(
            timer=SimpleNamespace(schedule=SimpleNamespace(_queue=[])),
            qos=SimpleNamespace(value=8),
            task_consumer=SimpleNamespace(queues=[queue]),
        ),
    )

    facts = worker_facts(worker)

    assert facts.keys() == set(ev.WorkerFacts.__struct_fields__)
    beat = {"type": "worker-heartbeat", "hostname": "w1@host", "timestamp": 1.0, "facts": facts}
    (event,) = ev.decode([json.dumps(beat).encode()], on_invalid=print)
    assert isinstance(event, ev.WorkerEvent)
    assert event.facts is not None
    assert (event.facts.queues, event.facts.prefetch_count) == (("mail",), 8)
