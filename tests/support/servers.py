"""Servers: a private Redis and a private RabbitMQ on free loopback ports, in temporary folders.

``TEST_SERVERS_ROOT`` names the root of another system, whose servers are then run from there with
``chroot`` (``scripts/test-debian-13`` makes one); it must see the same temporary folders.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from .waiting import wait_until

REDIS_DATABASES = 256
SENTINEL_MASTER = "tests"

_PORTS = range(20_000, 32_768)  # from there on the kernel gives ports to whoever wants any
_given: set[int] = set()

#: Debian's /usr/sbin/rabbitmq-server insists on its own user and folders; this is the server's own.
_RABBIT_SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_RABBIT_CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"

_RABBIT_CONFIG = """\
listeners.tcp.default = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
log.file.level = warning
collect_statistics_interval = 1000
management.sample_retention_policies.global.minute = 1
management.sample_retention_policies.basic.minute = 1
management.sample_retention_policies.detailed.minute = 1
disk_free_limit.absolute = 50MB
"""


def missing(server: str) -> NoReturn:
    """Skip the test at a desk; fail it in CI, where a skipped test would be a lie."""
    sentence = f"{server} is not installed; scripts/test installs it when run as root"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def server_command(*executables: str) -> list[str] | None:
    """Return how to start the first of these that is there, by name or by path; else None."""
    root = os.environ.get("TEST_SERVERS_ROOT")
    for executable in executables:
        if root is None:
            found = shutil.which(executable)
            if found is not None:
                return [found]
            continue
        for folder in ("/usr/bin", "/usr/sbin"):
            path = Path(folder, executable)  # an absolute path stays as it is
            if Path(root + str(path)).exists():
                return ["chroot", root, str(path)]
    return None


def free_port() -> int:
    """Return a loopback TCP port nobody listens on, and that no other process of tests is given.

    Seconds may pass until a server listens there, and it may be stopped for a while.
    """
    while True:
        port = random.choice(_PORTS)
        if port not in _given and _reserve(port):
            _given.add(port)
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def _reserve(port: int) -> bool:
    """Lock a byte of a file that all processes of tests share, until this one ends."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _reservations() -> int:
    path = Path(tempfile.gettempdir(), f"event-monitor-test-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def listens(port: int) -> bool:
    """Return whether someone accepts connections on that loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process started in its own session, with all its children, and reap it."""
    with contextlib.suppress(ProcessLookupError):  # all of them may have gone already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


class RedisServer:
    """``redis-server`` without persistence. ``fresh_url()`` is an empty database of its own."""

    def __init__(self, folder: Path) -> None:
        executable = server_command("redis-server") or missing("redis-server")
        self._numbers = count()
        self.port = free_port()
        self._command = [
            *(*executable, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(folder)),
            *("--databases", str(REDIS_DATABASES)),
        ]
        self._log = folder / "redis.log"
        self.start()

    def start(self) -> None:
        """Start it, on the same port as before; return when it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: listens(self.port), 60, "redis-server listens")

    def stop(self) -> None:
        """Kill it; what it held is gone."""
        kill_group(self._process)

    def fresh_url(self) -> str:
        """Return a database no test has used yet (kombu keeps events of databases apart too)."""
        return f"redis://127.0.0.1:{self.port}/{next(self._numbers) % REDIS_DATABASES}"


class SentinelServer:
    """A ``RedisServer`` and one sentinel that watches it under the name ``SENTINEL_MASTER``."""

    def __init__(self, folder: Path) -> None:
        self._redis = RedisServer(folder)
        self.port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SENTINEL_MASTER} 127.0.0.1 {self._redis.port} 1\n"
        )
        self._command = [*(server_command("redis-server") or ()), str(config), "--sentinel"]
        self._log = folder / "sentinel.log"
        self.start()

    def start(self) -> None:
        """Start the sentinel; return when it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: listens(self.port), 60, "the sentinel listens")

    def stop(self) -> None:
        """Kill both."""
        kill_group(self._process)
        self._redis.stop()

    def fresh_url(self) -> str:
        """Return a database no test has used yet; it needs the transport option ``master_name``."""
        database = self._redis.fresh_url().rpartition("/")[2]
        return f"sentinel://127.0.0.1:{self.port}/{database}"


class RabbitServer:
    """``rabbitmq-server`` with the management API. ``fresh_url()`` is a new virtual host.

    Its Erlang node has its own name, ports, port mapper, cookie and folders, so it neither
    meets nor disturbs another RabbitMQ of the machine.
    """

    def __init__(self, folder: Path) -> None:
        script = server_command(_RABBIT_SCRIPT, "rabbitmq-server")
        epmd = server_command("epmd")
        if script is None or epmd is None:
            missing("rabbitmq-server")
        self._script, self._epmd = script, epmd
        self._numbers = count(1)
        self._folder = folder
        self.port, self.http_port, self._epmd_port = free_port(), free_port(), free_port()
        (folder / "rabbitmq.conf").write_text(
            _RABBIT_CONFIG.format(amqp=self.port, http=self.http_port)
        )
        (folder / "plugins").write_text("[rabbitmq_management,rabbitmq_consistent_hash_exchange].")
        self._environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(folder),  # for the Erlang cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            # One scheduler: a test machine has better things to do.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        """Start it, with what it stored before; return when it answers."""
        mapper = [*self._epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)]
        try:
            self._spawn(mapper, self._environ)
            wait_until(lambda: listens(self._epmd_port), 60, "epmd listens")
            self._spawn(self._script, self._environ)
            wait_until(self._answers, 180, f"rabbitmq-server answers, see {self._folder}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill the node, then its port mapper."""
        while self._processes:
            kill_group(self._processes.pop())

    def fresh_url(self) -> str:
        """Return a new virtual host, which a test has for itself."""
        name = f"test{next(self._numbers)}"
        self.management("PUT", f"vhosts/{name}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.management("PUT", f"permissions/{name}/guest", everything)
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{name}"

    def management(self, method: str, path: str, body: object = None) -> object:
        """Call the management API, such as ``("GET", "queues/test1")``; return its answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def control(self, *arguments: str) -> None:
        """Call ``rabbitmqctl``, such as ``("set_disk_free_limit", "50MB")``."""
        command = server_command(_RABBIT_CONTROL, "rabbitmqctl")
        assert command is not None, "it comes with the server"
        subprocess.run([*command, *arguments], env=self._environ, check=True, timeout=180)

    def _answers(self) -> bool:
        if self._processes[-1].poll() is not None:
            raise AssertionError(f"rabbitmq-server ended at start, see {self._folder}")
        try:
            return self.management("GET", "overview") is not None and listens(self.port)
        except (OSError, urllib.error.URLError):
            return False

    def _spawn(self, command: list[str], environ: dict[str, str]) -> None:
        with (self._folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)


Server = RedisServer | SentinelServer | RabbitServer
SERVERS: dict[str, Callable[[Path], Server]] = {
    "redis": RedisServer,
    "sentinel": SentinelServer,
    "rabbitmq": RabbitServer,
}
