"""Leases: each broker's own, and nothing of another's driver."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from celery import Celery
from event_monitor.leader import Holder, lease_for
app = Celery(broker="amqp://nowhere", set_as_current=False)
assert lease_for(app, "a.lock", holder=Holder.here(), on_command=lambda *_: None)
assert "redis" not in sys.modules
"""


def test_a_lease_on_rabbitmq_needs_no_client_for_redis() -> None:
    """It may not be installed."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
