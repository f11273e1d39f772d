"""Fixtures: ``make`` a cluster of any kind."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from ...support.cloudwatch import CloudWatch
from ...support.servers import SENTINEL_MASTER, Server, kill_group
from ...support.waiting import wait_until
from .cluster import Cluster, Make


def accepts(path: Path) -> bool:
    """Return whether somebody accepts connections on that socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@pytest.fixture
def make(
    server: Callable[[str], Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Makes a cluster of the kind that is named."""
    closing = ExitStack()

    def redis_on_a_unix_socket() -> str:
        server("redis")  # skips, or fails, where there is none
        path = tmp_path / "redis.sock"
        process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        closing.callback(kill_group, process)
        wait_until(lambda: accepts(path), 60, "somebody listens on the socket")
        return f"redis+socket://{path}"

    def sqs() -> Cluster:
        endpoint = CloudWatch()  # the endpoint of all of AWS
        closing.callback(endpoint.stop)
        for name, value in endpoint.environ.items():
            monkeypatch.setenv(name, value)
        address = endpoint.url.removeprefix("http://")
        return Cluster(
            f"sqs://testing:testing@{address}",
            region="us-east-1",
            is_secure=False,
            queue_name_prefix=f"{uuid4().hex}-",  # moto is one for all
        )

    def make_one(kind: str) -> Cluster:
        if kind == "redis":
            cluster = Cluster(server("redis").fresh_url())
        elif kind == "redis prefixed":
            cluster = Cluster(
                server("redis").fresh_url(),
                global_keyprefix="{mine}:",
                sep=":",
                priority_steps=[0, 5],
                unacked_key="taken",
            )
        elif kind == "redis socket":
            cluster = Cluster(redis_on_a_unix_socket())
        elif kind == "sentinel":
            cluster = Cluster(server("sentinel").fresh_url(), master_name=SENTINEL_MASTER)
        elif kind == "sqs":
            cluster = sqs()
        else:
            priorities = {"x-queue-type": "classic", "x-max-priority": 9}
            cluster = Cluster(
                server("rabbitmq").fresh_url(),
                arguments=priorities if kind == "priorities" else {"x-queue-type": kind},
                confirm_publish=True,  # else a message may come after the question
            )
        closing.callback(cluster.close)
        return cluster

    yield make_one
    closing.close()
