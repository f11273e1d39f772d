"""Monitors: several on one broker, of which one after another meets with an accident.

``python -m tests.soak.monitors --help``. A synthetic worker sends all the while, and after each
round what was published has to be what it sent. Other workers die meanwhile, once each.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis
from celery import Celery

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, PROJECT, Process
from ..support.servers import SERVERS, RabbitServer, RedisServer, Server
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until

COUNTS = ("TasksReceived", "TasksStarted", "TasksSucceeded")
DEATHS = "WorkersLost"
ACTIONS = ("stop", "kill", "pause", "cut-off", "deafen", "outage")  # and "restart", if asked for
INTERVAL_SECONDS = 1
STANDS_BY, TAKES_OVER = "standby: another monitor leads", "takes over: this monitor leads now"
SETTLED_SECONDS = 4.0  # some windows, so that one accident does not meet the next
DEADLINE_SECONDS = 90.0
BATCH = 20  # tasks, of three events each
GRACE_SECONDS = 5  # of silence, after which a worker is lost
MORTAL_SECONDS = 0.5  # that a worker lives which is to die
ON_ITS_WAY_SECONDS = 0.3  # for what was sent, until all have it
REAL_TASKS_SECONDS = 0.05  # between two tasks of the real workers

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Round:
    """What happened, what it did to each sum, and how many windows were in doubt."""

    action: str
    events: int
    differences: dict[str, float]
    ambiguous: float

    @property
    def is_right(self) -> bool:
        """Whether every sum is that which was sent, or the monitors say that it may not be."""
        wrong = any(self.differences.values())
        return not wrong or (self.ambiguous > 0 and min(self.differences.values()) >= 0)


class Load(threading.Thread):
    """Runs tasks, as many events a second as asked for, unless it is held.

    Meanwhile one worker after the other comes, and dies. With ``sends_tasks`` real workers get
    tasks, too.
    """

    def __init__(self, url: str, *, events_per_second: float, sends_tasks: bool = False) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._worker = SyntheticWorker(url)
        self._sends_tasks = sends_tasks
        self._sent = 0  # to real workers
        self.dead = 0
        self.held_seconds = 0.0
        self._pause = 3 * BATCH / events_per_second
        self._ended = threading.Event()
        # Who has these holds the load.
        self._turn, self._turn_of_death = threading.Lock(), threading.Lock()
        self._turn_of_tasks = threading.Lock()

    @property
    def tasks(self) -> int:
        """Return how many were run, or sent to real workers."""
        return self._worker.processed + self._sent

    def expected(self, name: str) -> int:
        """Return what the sum of this metric has to be."""
        return self.dead if name == DEATHS else self.tasks

    def run(self) -> None:
        others = [threading.Thread(target=self._let_die)]
        if self._sends_tasks:
            others.append(threading.Thread(target=self._send_tasks))
        for other in others:
            other.start()
        with self._worker.beating():
            self._run_tasks()
        for other in others:
            other.join()

    def _let_die(self) -> None:
        while not self._ended.wait(MORTAL_SECONDS):
            with self._turn_of_death:
                mortal = SyntheticWorker(self._url, f"m{self.dead}@mortal")
                self._ended.wait(MORTAL_SECONDS)
                mortal.beat()
                mortal.close()
                self.dead += 1

    def _send_tasks(self) -> None:
        with Celery("real", broker=self._url, set_as_current=False) as app:
            while not self._ended.wait(REAL_TASKS_SECONDS):
                with self._turn_of_tasks:
                    app.send_task("proj.succeed", ignore_result=True)
                    self._sent += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing happen meanwhile."""
        with self._turn, self._turn_of_death, self._turn_of_tasks:
            began = time.monotonic()
            yield
            self.held_seconds += time.monotonic() - began

    def _run_tasks(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            with self._turn:
                self._worker.run(BATCH)
            due = max(due + self._pause, time.monotonic() - 0.5)
            time.sleep(max(0.001, due - time.monotonic()))

    def close(self) -> None:
        """Stop it."""
        self._ended.set()
        self.join()
        self._worker.close()


@dataclass
class Troupe:
    """The monitors, broker and endpoint of one run."""

    folder: Path
    server: Server
    url: str
    cloudwatch: Endpoint
    environ: dict[str, str]
    monitors: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)  # real ones
    started: int = 0
    replaces: bool = True  # whether another is started for one that ended

    def start(self) -> Process:
        """Start one more; return when it leads or stands by, and has seen a window end."""
        self.started += 1
        log = self.folder / f"monitor-{self.started}.log"
        command = ["event-monitor", "run", "-A", PROJECT, "--loglevel", "DEBUG"]
        process = Process(command, self.environ, log)
        process.wait_for_output(LISTENS)
        self.monitors.append(process)
        return process

    def start_worker(self) -> None:
        """Start a real worker; return when it takes tasks."""
        name = f"r{len(self.workers)}@real"
        command = ["celery", "-A", PROJECT, "worker", "--hostname", name, "--pool", "solo"]
        # Without gossip only the monitors read events, and a cut-off meets one of them.
        command += ["--task-events", "--queues", "celery", "--loglevel", "INFO"]
        command += ["--without-gossip", "--without-mingle"]
        environ = {**self.environ, "SEND_SENT_EVENT": "0"}
        worker = Process(command, environ, self.folder / f"{name}.log")
        self.workers.append(worker)
        worker.wait_for_output(f"{name} ready.")

    def close(self) -> None:
        """Kill all of them."""
        for process in (*self.monitors, *self.workers):
            process.kill()

    @property
    def leader(self) -> Process:
        """Return the one that took over last, or never stood by."""
        for process in reversed(self.monitors):
            output = process.output
            if output.rfind(TAKES_OVER) >= output.rfind(STANDS_BY):
                return process
        return self.monitors[0]

    def disconnect(self) -> None:
        """Close all connections of all monitors, and take the lock, as a restart of the broker."""
        ports = {port for monitor in self.monitors for port in _ports_of(monitor.pid)}
        if isinstance(self.server, RedisServer):
            database = int(self.url.rpartition("/")[2])
            with redis.Redis(port=self.server.port, db=database) as client:
                for each in client.client_list():
                    if int(each["addr"].rpartition(":")[2]) in ports:
                        client.client_kill_filter(_id=each["id"])
                for key in client.scan_iter("celeryev.leader.*"):
                    client.delete(key)
            return
        assert isinstance(self.server, RabbitServer)
        connections = self.server.management("GET", "connections")
        assert isinstance(connections, list)
        for each in connections:
            if each.get("peer_port") in ports:
                self._close(each["name"])

    def _close(self, connection: str) -> None:
        assert isinstance(self.server, RabbitServer)
        path = f"connections/{connection.replace(' ', '%20').replace('>', '%3E')}"
        with suppress(urllib.error.HTTPError):  # it has gone meanwhile
            self.server.management("DELETE", path)

    def cut_off(self, monitor: Process) -> int:
        """Close the connections on which a monitor receives events; return how many."""
        ports = set(_ports_of(monitor.pid))
        if isinstance(self.server, RedisServer):
            with redis.Redis(port=self.server.port) as client:
                found = [
                    each["id"]
                    for each in client.client_list(_type="pubsub")
                    if int(each["psub"]) and int(each["addr"].rpartition(":")[2]) in ports
                ]
                return sum(client.client_kill_filter(_id=each) for each in found)
        assert isinstance(self.server, RabbitServer)
        consumers = self.server.management("GET", "consumers")
        assert isinstance(consumers, list)
        vhost = self.url.rpartition("/")[2]
        names = {
            consumer["channel_details"]["connection_name"]
            for consumer in consumers
            if consumer["channel_details"]  # [] of one that is just going
            and consumer["queue"]["vhost"] == vhost
            and consumer["queue"]["name"].startswith("celeryev")
            and consumer["channel_details"].get("peer_port") in ports
        }
        for name in names:
            self._close(name)
        return len(names)


def _ports_of(pid: int) -> Iterator[int]:
    """Yield the local ports of a process's connections: proc(5)."""
    links = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it is closed by now
            links.add(str(file.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if f"socket:[{fields[9]}]" in links:
            yield int(fields[1].rpartition(":")[2], 16)


@contextmanager
def troupe(folder: Path, *, server: Server, monitors: int) -> Iterator[Troupe]:
    """Start the monitors and their endpoint, and end them."""
    with ExitStack() as stack:
        url = server.fresh_url()
        cloudwatch = stack.enter_context(Endpoint())
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "EVENT_MONITOR_", "CELERY_", "COV_"))
        }
        environ = {
            **inherited,
            **cloudwatch.environ,
            "BROKER_URL": url,
            "TZ": "UTC",
            "EVENT_MONITOR_INTERVAL": str(INTERVAL_SECONDS),
            "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        made = Troupe(folder, server, url, cloudwatch, environ)
        stack.callback(made.close)
        for _ in range(monitors):
            made.start()
        yield made


@contextmanager
def load_on(on: Troupe, *, events_per_second: float) -> Iterator[Load]:
    """Send all the while."""
    load = Load(on.url, events_per_second=events_per_second, sends_tasks=bool(on.workers))
    load.start()
    try:
        yield load
    finally:
        load.close()


def restart(on: Troupe, load: Load, chance: random.Random) -> str:
    """Let the broker leave all of them, as it restarts, and perhaps the leader die soon after.

    Nothing is sent meanwhile: what comes while nobody listens is lost.
    """
    with load.held():
        time.sleep(ON_ITS_WAY_SECONDS)
        before = [(monitor, monitor.output.count(LISTENS)) for monitor in on.monitors]
        on.disconnect()
        for monitor, times in before:
            monitor.wait_for_output(LISTENS, times=times + 1)
    if chance.random() < 0.5:
        return "all"
    time.sleep(chance.uniform(0, 3))
    return f"all, and then {act(on, chance.choice(['stop', 'kill']), chance)}"


def act(on: Troupe, action: str, chance: random.Random) -> str:
    """Let something happen to one of them; return to whom."""
    leader = on.leader
    victim = leader if chance.random() < 0.7 else chance.choice(on.monitors)
    whom = "the leader" if victim is leader else "a standby"
    if action == "outage":
        on.cloudwatch.misbehave("throttle")
        time.sleep(chance.uniform(2, 8))
        if chance.random() < 0.5:  # what was not accepted has to outlive its leader
            whom = f"the endpoint, and {act(on, chance.choice(['stop', 'kill']), chance)}"
            time.sleep(chance.uniform(0, 3))
        on.cloudwatch.behave()
        return whom
    if action == "cut-off":
        wait_until(lambda: on.cut_off(victim), DEADLINE_SECONDS, f"{whom} listens")
        return whom
    if action == "deafen":
        seconds = chance.choice((3, 9, 40))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            on.cut_off(victim)
            time.sleep(0.05)
        return f"{whom} for {seconds} s"
    if action == "pause":
        seconds = chance.choice((1, 4, 9, 15))
        victim.send(signal.SIGSTOP)
        time.sleep(seconds)
        victim.send(signal.SIGCONT)
        return f"{whom} for {seconds} s"
    on.monitors.remove(victim)
    if action == "kill":
        victim.kill()
    else:
        code = victim.stop()
        assert code == 0, f"it ended with {code}:\n{victim.output}"
    if on.replaces:
        time.sleep(chance.uniform(0, 2))
        on.start()
    return whom


def rounds(
    on: Troupe,
    load: Load,
    *,
    actions: Sequence[str],
    seed: int,
    settled_seconds: float = SETTLED_SECONDS,
    say: Say = lambda _: None,
) -> Iterator[Round]:
    """Let each action happen under load, and compare when it is over."""
    chance = random.Random(seed)
    before = dict.fromkeys((*COUNTS, DEATHS), 0.0)
    for action in actions:
        sent, ambiguous = load.tasks, on.cloudwatch.sum("PublishAmbiguous")
        time.sleep(settled_seconds + chance.random() * INTERVAL_SECONDS)
        is_restart = action == "restart"
        whom = restart(on, load, chance) if is_restart else act(on, action, chance)
        time.sleep(settled_seconds / 2)
        with load.held():
            _wait_for_all(on, load, before)
            differences = {
                name: on.cloudwatch.sum(name) - load.expected(name) - before[name]
                for name in before
            }
            for name in before:  # told once
                before[name] += differences[name]
            done = Round(
                f"{action}: {whom}",
                3 * (load.tasks - sent),
                {name: by for name, by in differences.items() if by},
                on.cloudwatch.sum("PublishAmbiguous") - ambiguous,
            )
        say(
            f"{done.action}; {done.events} events; {done.differences or 'equal'}"
            f"{f'; in doubt {done.ambiguous:g}' if done.ambiguous else ''}"
        )
        yield done


def _wait_for_all(on: Troupe, load: Load, before: dict[str, float]) -> None:
    """Wait until as much is published as was sent, and then for what must not come."""

    def arrived() -> bool:
        return all(on.cloudwatch.sum(name) - before[name] >= load.expected(name) for name in before)

    with suppress(AssertionError):  # it is a difference, then
        wait_until(arrived, DEADLINE_SECONDS / 3, "all is published", poll_seconds=0.2)
    requests = len(on.cloudwatch.requests)
    wait_until(lambda: len(on.cloudwatch.requests) >= requests + 3, DEADLINE_SECONDS, "it goes on")


def main() -> int:
    """Run it, and say what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.monitors", description=__doc__)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--monitors", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="real ones, beside the sender")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--events-per-second", type=float, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--folder", type=Path, help="keep the logs there")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    actions = [chance.choice(asked.actions.split(",")) for _ in range(asked.rounds)]
    with tempfile.TemporaryDirectory(prefix="monitors-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):  # what a former monitor said would be taken for a new one's
            parser.error(f"{folder} is not empty")
        _say(f"{asked.broker}, {asked.monitors} monitors, --seed {asked.seed}")
        server = SERVERS[asked.broker](folder)
        try:
            with ExitStack() as stack:
                on = stack.enter_context(troupe(folder, server=server, monitors=asked.monitors))
                for _ in range(asked.workers):
                    on.start_worker()
                rate = asked.events_per_second
                load = stack.enter_context(load_on(on, events_per_second=rate))
                began = time.monotonic()
                done = list(rounds(on, load, actions=actions, seed=asked.seed, say=_say))
                rate = 3 * load.tasks / (time.monotonic() - began - load.held_seconds)
        finally:
            server.stop()
    wrong = [each for each in done if not each.is_right]
    _say(
        f"{len(done) - len(wrong)} of {len(done)} rounds are right, {rate:,.0f} events a second, "
        f"{load.dead} workers died"
    )
    return bool(wrong)


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201  it is what it is for


if __name__ == "__main__":
    sys.exit(main())
