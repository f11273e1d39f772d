"""SQS: broker and event queue of a demo over SQS: those of the embedded AWS, on loopback."""

from __future__ import annotations

from importlib.util import find_spec

from celery import Celery

from ..errors import UnavailableError
from .identity import REGION, Run

__all__ = ["broker_at", "make_queues", "require_sqs", "send_events"]

_FLUSH_SECONDS = 1.0  # between two messages, so that the screen shows what happens
_BEAT_SECONDS = 2.0


def require_sqs() -> None:
    """Raise ``UnavailableError`` without what Celery's workers need on SQS."""
    if find_spec("pycurl") is None:
        raise UnavailableError(
            "the demo over SQS needs pycurl: pip install 'celery-event-monitor[demo-sqs]'."
        )


def broker_at(address: str) -> str:
    """Return the URL of the broker that is embedded at this host and port."""
    return f"sqs://demo:demo@{address}"


def make_queues(run: Run) -> None:
    """Make the queue of events, and that of the monitor's lease; they end with this process."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.sqs.models import sqs_backends

    sqs = sqs_backends[DEFAULT_ACCOUNT_ID][REGION]
    sqs.create_queue(run.event_queue, VisibilityTimeout="180")
    sqs.create_queue(f"{run.event_queue}-lease.fifo", FifoQueue="true")


def send_events(app: Celery, run: Run) -> None:
    """Let whoever has this app send its events over SQS, if that is the broker."""
    if run.is_over_sqs:
        from ..over_sqs.line import send_events_over_sqs

        send_events_over_sqs(
            app,
            run.event_queue,
            flush_seconds=_FLUSH_SECONDS,
            beat_seconds=_BEAT_SECONDS,
            producers=True,
        )
