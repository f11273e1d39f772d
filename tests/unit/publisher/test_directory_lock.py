"""Directory lock: whose a state_dir is, and who may look into it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from event_monitor.errors import UnavailableError
from event_monitor.liveness import Liveness
from event_monitor.publisher.directory_lock import DirectoryLock
from event_monitor.schedules import LastSeen

from ...contracts.sink import count
from ...support.users import NOBODY, acting_as, public_folder, require_root
from .conftest import OpenSpool, drain


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def shared() -> Iterator[Path]:
    """Return a state_dir that every user may reach and write to."""
    with public_folder() as folder:
        yield folder


def test_nobody_else_may_look_in(tmp_path: Path, open_spool: OpenSpool) -> None:
    """Neither into the directory nor into a file, whatever the umask."""
    before = os.umask(0)
    try:
        spool = open_spool(str(tmp_path / "state"))
        spool.append((count(),))
    finally:
        os.umask(before)

    assert mode(tmp_path / "state") == 0o700
    assert {path.name: mode(path) for path in (tmp_path / "state").iterdir()} == {
        "spool.lock": 0o600,
        "spool.sqlite3": 0o600,
        "spool.sqlite3-note": 0o600,
        "spool.sqlite3-shm": 0o600,
        "spool.sqlite3-wal": 0o600,
    }


def test_a_state_dir_of_a_former_version_is_closed_too(
    tmp_path: Path, open_spool: OpenSpool
) -> None:
    """Its directory and its files were readable for all."""
    state_dir = tmp_path / "state"
    open_spool(str(state_dir)).close()
    state_dir.chmod(0o755)
    for path in state_dir.iterdir():
        path.chmod(0o644)

    open_spool(str(state_dir))

    assert mode(state_dir) == 0o700
    assert {mode(path) for path in state_dir.iterdir()} == {0o600}


def test_all_that_is_kept_in_a_state_dir_is_known_to_be_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory in which there is something else is not closed."""
    Liveness(str(tmp_path)).beat(interval_seconds=60.0)
    Liveness(str(tmp_path), sign="beat").beat(interval_seconds=60.0)
    LastSeen(str(tmp_path)).save({})
    tmp_path.chmod(0o755)

    lock = DirectoryLock(tmp_path)
    lock.take()
    lock.release()

    assert mode(tmp_path) == 0o700
    assert caplog.records == []


def test_a_directory_that_is_there_for_all_users_stays_open(tmp_path: Path) -> None:
    """An empty /tmp of a container, named by root."""
    tmp_path.chmod(0o1777)

    lock = DirectoryLock(tmp_path)
    lock.take()
    lock.release()

    assert mode(tmp_path) & 0o777 == 0o777


def test_a_directory_with_other_things_in_it_is_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who names /tmp must not close it to everybody; a warning says what to do."""
    tmp_path.chmod(0o755)
    (tmp_path / "something of the user's").touch()

    lock = DirectoryLock(tmp_path)
    lock.take()
    lock.release()

    assert mode(tmp_path) == 0o755
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"other users may look into the state_dir '{tmp_path}'" in record.getMessage()


def test_a_link_is_not_followed(tmp_path: Path, open_spool: OpenSpool) -> None:
    """Where others may write, it could lead to a file that they want to be overwritten."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "spool.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UnavailableError, match="cannot be used: Too many levels of symbolic"):
        DirectoryLock(tmp_path).take()

    (tmp_path / "spool.lock").unlink()
    (tmp_path / "precious").chmod(0o644)
    (tmp_path / "spool.sqlite3").symlink_to(tmp_path / "precious")
    assert not open_spool().append((count(),))

    assert (tmp_path / "precious").read_text() == "precious"
    assert mode(tmp_path / "precious") == 0o644


def test_a_lock_of_another_user_is_named_with_its_owner(shared: Path) -> None:
    """The process, and the user whose process it is."""
    # Given a process of another user that has the directory
    holder = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from event_monitor.publisher.directory_lock import DirectoryLock\n"
        "os.setuid(65534)\n"
        "lock = DirectoryLock(Path(sys.argv[1]))\n"
        "lock.take()\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    require_root()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(shared)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        # When
        with pytest.raises(UnavailableError) as caught:
            DirectoryLock(shared).take()
        assert process.stdin is not None
        process.stdin.close()

    # Then
    assert str(caught.value) == (
        f"state_dir '{shared}' is in use by process {process.pid} of user nobody (uid 65534); "
        "stop it, or give this one a directory of its own, as a standby needs."
    )


@pytest.mark.parametrize(("folder_mode", "what"), [(0o777, "its spool.lock"), (0o700, "it")])
def test_what_another_user_does_not_let_us_use_is_named_with_its_owner(
    folder_mode: int, what: str, shared: Path
) -> None:
    """Permission denied, and by whom."""
    (shared / "spool.lock").touch(mode=0o600)
    shared.chmod(folder_mode)

    with acting_as(NOBODY), pytest.raises(UnavailableError) as caught:
        DirectoryLock(shared).take()

    assert str(caught.value) == (
        f"state_dir '{shared}' cannot be used: Permission denied, since {what} belongs to "
        "user root (uid 0); name a directory this user may write to."
    )


def test_root_is_warned_of_a_directory_of_another_user(
    shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may change what is in it; in a container it is what a mounted one mostly is."""
    require_root()
    os.chown(shared, NOBODY, NOBODY)
    shared.chmod(0o700)

    lock = DirectoryLock(shared)
    lock.take()
    lock.release()

    assert [record.getMessage() for record in caplog.records] == [
        f"other users may look into the state_dir '{shared}' and change what is in it, as it "
        "belongs to user nobody (uid 65534); give it mode 0700 and the owner user root (uid 0)"
    ]


def test_a_lock_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe can be opened and locked, but never says whose it is."""
    os.mkfifo(tmp_path / "spool.lock")

    with pytest.raises(UnavailableError, match=r"cannot be used: its spool\.lock is no file;"):
        DirectoryLock(tmp_path).take()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("precious")])
def test_what_is_no_file_in_the_place_of_one_is_not_opened(
    suffix: str,
    make: Callable[[Path], None],
    tmp_path: Path,
    open_spool: OpenSpool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pipe would be waited for, for ever; what is kept in memory costs no descriptor."""
    (tmp_path / "precious").write_text("precious")
    make(tmp_path / f"spool.sqlite3{suffix}")
    spool = open_spool()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for value in range(20):
        assert not spool.append((count(value=value),))

    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(drain(spool)) == 20
    assert f"spool.sqlite3{suffix} is no file; going on in memory" in caplog.text
    assert (tmp_path / "precious").read_text() == "precious"
