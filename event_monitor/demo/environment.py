"""Environment: the environment variables of the demo's processes, without the user's settings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .cloudwatch import NAMESPACE, REGION
from .identity import Run

__all__ = ["process_environ", "user_settings_hidden"]

#: Prefixes of the variables that could lead the demo to another broker or to a real account.
_STRIPPED = ("AWS_", "CELERY_", "DEMO_", "DJANGO_", "EVENT_MONITOR_", "KOMBU_", "PYTHONWARNINGS")
_WORKER_GRACE_SECONDS = 6  # of silence until a worker is lost; heartbeats come every 2 s


def process_environ(
    outer: Mapping[str, str], *, run: Run, endpoint: str, page: str
) -> dict[str, str]:
    """Return the user's environment without any way to a real AWS account.

    Keys, profiles, config files and endpoints of the user are out of reach, and every AWS service
    is the one at ``endpoint``, on loopback, past any proxy. The monitor shows its page at the
    address ``page``.
    """
    missing_file = str(run.folder / "no-such-file")
    unproxied = ",".join(
        filter(None, (outer.get("NO_PROXY") or outer.get("no_proxy"), "127.0.0.1"))
    )
    import_root = str(Path(__file__).parents[2])
    return {
        **_stripped(outer),
        **run.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (import_root, outer.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(run.folder),  # what a killed worker leaves there goes with the folder
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": missing_file,
        "AWS_SHARED_CREDENTIALS_FILE": missing_file,
        "AWS_EC2_METADATA_DISABLED": "true",
        "EVENT_MONITOR_NAMESPACE": NAMESPACE,
        "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(_WORKER_GRACE_SECONDS),
        "EVENT_MONITOR_WORKER_GRACE_BEATS": "2",
        "EVENT_MONITOR_BY_WORKER": "WorkersLost,TasksOrphaned",
        "EVENT_MONITOR_HTTP": page,
        "EVENT_MONITOR_HISTORY": "true",
        "EVENT_MONITOR_HISTORY_DETAILS": "message,traceback",
    }


@contextlib.contextmanager
def user_settings_hidden() -> Iterator[None]:
    """Remove the user's settings from this process's own environment while the block lasts."""
    hidden = {key: os.environ.pop(key) for key in set(os.environ) - set(_stripped(os.environ))}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _stripped(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings of AWS, Celery, Django or the monitor."""
    return {key: value for key, value in outer.items() if not key.startswith(_STRIPPED)}
