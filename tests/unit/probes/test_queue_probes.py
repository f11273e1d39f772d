"""Queue probes: which queues are asked for, and which probe suits the broker."""

from __future__ import annotations

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from event_monitor.probes.queues import queue_names, queue_probe_to
from event_monitor.probes.queues_amqp import DeclareProbe
from event_monitor.probes.queues_redis import RedisProbe
from event_monitor.probes.queues_sqs import SqsProbe
from event_monitor.settings import Settings


def app_with(broker: str = "memory://", **conf: object) -> Celery:
    app = Celery("asked", broker=broker, set_as_current=False)
    app.conf.update(conf)
    return app


# -- names ----------------------------------------------------------------------------------------


def test_an_app_without_queues_has_the_default_one() -> None:
    assert queue_names(app_with(), Settings()) == ("celery",)
    assert queue_names(app_with(task_default_queue="mine"), Settings()) == ("mine",)


def test_names_are_those_of_app_and_settings_sorted_and_once() -> None:
    app = app_with(task_queues=[Queue("slow"), Queue("fast", Exchange("x"), routing_key="f.#")])

    assert queue_names(app, Settings(queues=("slow", "audit"))) == ("audit", "fast", "slow")


def test_queues_that_routes_name_are_known_without_a_worker() -> None:
    app = app_with(
        task_routes={
            "a.*": {"queue": "patterns"},
            "b.one": "plain",
            "b.two": {"queue": Queue("object")},
            "b.three": {"exchange": "x", "routing_key": "y"},
        }
    )
    assert queue_names(app, Settings()) == ("celery", "object", "patterns", "plain")

    app = app_with(task_routes=([("a.*", {"queue": "pairs"})], lambda *_args, **_options: None))
    assert queue_names(app, Settings()) == ("celery", "pairs")


def test_broadcast_queues_are_left_out() -> None:
    """Every worker has one of its own, under a random name."""
    app = app_with(task_queues=[Queue("celery"), Broadcast("all")])

    assert queue_names(app, Settings()) == ("celery",)


# -- probes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "probe_class"),
    [
        ("redis://nowhere.invalid/0", RedisProbe),
        ("rediss://nowhere.invalid/0?ssl_cert_reqs=required", RedisProbe),
        ("redis+socket:///nowhere.sock", RedisProbe),
        ("sentinel://nowhere.invalid/0", RedisProbe),
        ("amqp://nowhere.invalid//", DeclareProbe),
        ("amqps://nowhere.invalid//", DeclareProbe),
        ("sqs://", SqsProbe),
        ("filesystem://", DeclareProbe),
    ],
)
def test_the_probe_suits_the_broker_and_connects_to_nothing_yet(
    broker: str, probe_class: type
) -> None:
    probe = queue_probe_to(app_with(broker), Settings(management_url="http://nowhere.invalid"))

    assert type(probe) is probe_class
    probe.close()
