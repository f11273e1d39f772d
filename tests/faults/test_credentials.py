"""Credentials are missing, damaged, refused or late: nothing is lost, and it goes on by itself."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.identity import REFUSAL, Identity
from ..support.processes import PROJECT, Processes, has_ended
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import WAYS, StartMonitor

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long
KEYS = {"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "very-secret"}


def without_keys(cloudwatch: Endpoint, folder: Path) -> dict[str, str]:
    """Return the environment of a process that finds the endpoint, and no credentials."""
    return {
        **cloudwatch.environ,
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
    }


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@dataclass(frozen=True)
class Moment:
    """Credentials that are not there yet: what a process finds, and what makes them come."""

    folder: Path
    cause: str
    environ: dict[str, str]
    cure: Callable[[], object]


def moments(identity: Identity, root: Path) -> dict[str, Moment]:
    """Return the ways in which credentials are late, by name."""
    none, process, no_token, empty_token = folders = [root / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    (process / "config").write_text(f"[default]\ncredential_process = {process}/give\n")
    script(process / "give", "echo please log in")
    (empty_token / "token").write_text("")
    keys = "[default]\naws_access_key_id = A\naws_secret_access_key = x\n"
    return {
        "none": Moment(
            none,
            "No AWS credentials are found: give the process a role",
            {},
            partial((none / "credentials").write_text, keys),
        ),
        "process": Moment(
            process,
            "credential_process failed: what it gives is not JSON",
            {},
            partial(script, process / "give", f"echo '{json.dumps(KEYS)}'"),
        ),
        "no token": Moment(
            no_token,
            "No such file or directory",
            identity.environ(no_token / "token"),
            partial((no_token / "token").write_text, "eyJhbGciOi"),
        ),
        "empty token": Moment(
            empty_token,
            "Invalid length for parameter WebIdentityToken",
            identity.environ(empty_token / "token"),
            partial((empty_token / "token").write_text, "eyJhbGciOi"),
        ),
    }


def test_credentials_that_come_later_are_told_at_the_start_and_found(
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """Each cause is named before the first shot; then every count arrives, without a restart."""
    with Identity() as identity:
        # Given a monitor for each way in which they are late
        cases = moments(identity, tmp_path)
        monitors = {
            name: start_monitor(
                interval=60,
                until=None,
                dimensions=f"Case={name}",
                environ={**without_keys(cloudwatch, moment.folder), **moment.environ},
            )
            for name, moment in cases.items()
        }
        for name, monitor in monitors.items():
            monitor.wait_for_output("receiving events from ")
            monitor.wait_for_output("publishing cannot work yet, metrics are kept: ")
            assert cases[name].cause in monitor.output, name

        # When tasks are counted, and then they come
        worker.run(40)
        assert cloudwatch.data == ()
        for moment in cases.values():
            moment.cure()

        # Then
        for name, monitor in monitors.items():
            assert monitor.stop() == 0, name
            assert cloudwatch.sum("TasksSucceeded", Case=name) == 40, name
            assert cloudwatch.sum("DatumsDropped", Case=name) == 0, name
            assert "Traceback" not in monitor.output, name


def test_keys_that_expire_are_replaced_by_those_another_process_wrote(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """AWS's own sentence is in the log; the shared file is read again, and no count is lost."""
    # Given a monitor that publishes with the keys of the shared file
    shared = tmp_path / "credentials"
    shared.write_text("[default]\naws_access_key_id = OLD\naws_secret_access_key = x\n")
    monitor = start_monitor(environ=without_keys(cloudwatch, tmp_path))
    worker.run(20)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 20, SOON, "tasks are counted")

    # When they expire, and others are written
    cloudwatch.misbehave("expire")
    monitor.wait_for_output(
        "AWS refused PutMetricData (ExpiredToken): The security token in the request is expired. "
        "Renew the credentials"
    )
    worker.run(20)
    shared.write_text("[default]\naws_access_key_id = NEW\naws_secret_access_key = x\n")
    # One that was signed before is accepted as well, and nobody would look for other keys then.
    wait_until(lambda: "NEW" in cloudwatch.access_keys, SOON, "the new keys are used")
    cloudwatch.behave()

    # Then
    assert monitor.stop() == 0
    assert cloudwatch.sum("TasksSucceeded") == 40
    assert cloudwatch.sum("DatumsDropped") == 0
    assert cloudwatch.access_keys[-1] == "NEW"


def test_sts_that_refuses_and_hangs_drops_nothing(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """Its own sentence is told; Ctrl-C says what it waits for, and ends in time."""
    (tmp_path / "token").write_text("eyJhbGciOi")
    with Identity("refuse") as identity:
        # Given
        environ = {**without_keys(cloudwatch, tmp_path), **identity.environ(tmp_path / "token")}
        state_dir = tmp_path / "state"
        monitor = start_monitor(state_dir=state_dir, drain_seconds=3, environ=environ)
        monitor.wait_for_output(
            "No AWS credentials: AWS refused AssumeRoleWithWebIdentity (InvalidIdentityToken): "
            + REFUSAL
        )
        worker.run(40)

        # When it is stopped without them
        identity.behaviour = "hang"
        asked = identity.asked
        code = monitor.stop(signal.SIGINT)

        # Then the next run sends what was kept
        assert code == 4
        assert "Traceback" not in monitor.output
        assert "waiting 3 s at most for " in monitor.output
        assert "but publishing fails: No AWS credentials: AWS refused" in monitor.output
        assert identity.asked >= asked
        assert cloudwatch.data == ()
        identity.behaviour = "give"
        again = start_monitor(state_dir=state_dir, environ=environ)
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "what was kept arrives")
        assert again.stop() == 0
        assert cloudwatch.sum("DatumsDropped") == 0


def test_check_and_provision_say_it_in_a_sentence(
    processes: Processes, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """A finding with exit code 1, a sentence with 3; never a traceback."""
    with Identity("page") as identity:
        # Given an STS that is none, and a credential_process that gives a list
        (tmp_path / "token").write_text("eyJhbGciOi")
        role = {**without_keys(cloudwatch, tmp_path), **identity.environ(tmp_path / "token")}
        command = {**without_keys(cloudwatch, tmp_path), "AWS_PROFILE": "command"}
        (tmp_path / "config").write_text("[profile command]\ncredential_process = echo []\n")

        # When
        check = processes.start(
            ["event-monitor", "check", "-A", PROJECT, "--listen", "0", "--format", "json"], role
        )
        provision = processes.start(
            ["event-monitor", "provision", "alarms", "--apply", "--yes"], command
        )

        # Then
        assert check.wait() == 1
        found = {finding["name"]: finding for finding in json.loads(check.output)["findings"]}
        assert found["credentials"]["status"] == "failed"
        assert found["credentials"]["message"].startswith("No AWS credentials: ")
        assert provision.wait() == 3
        assert (
            "No AWS credentials: credential_process failed: what it gives has not"
            in provision.output
        )
        assert "Traceback" not in check.output + provision.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("way", WAYS)
def test_a_second_signal_leaves_no_credential_process_behind(
    way: str,
    number: signal.Signals,
    start_monitor: StartMonitor,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """It hangs, and so does a child of its own; each start would leave both there for ever."""
    # Given
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {tmp_path}/give\n")
    script(
        tmp_path / "give",
        f"trap '' TERM INT; sleep 1000 & echo $$ $! > {tmp_path}/new; mv {tmp_path}/new "
        f"{tmp_path}/pids; wait",
    )
    monitor = start_monitor(way, environ=without_keys(cloudwatch, tmp_path))
    wait_until((tmp_path / "pids").exists, SOON, "the keys are asked for")

    # When
    monitor.send(number)
    monitor.wait_for_output(f"stopping on {number.name}")
    pids = (tmp_path / "pids").read_text().split()
    monitor.send(number)

    # Then
    assert monitor.wait(SOON) == 4
    assert len(pids) == 2
    for pid in pids:
        wait_until(partial(has_ended, pid), SOON, "it was killed")
