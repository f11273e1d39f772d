"""A socket that is read in bulk: all that has arrived, seldom, and never waited for without end."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from event_monitor.receiver.bulk import BulkReader

Pair = tuple[socket.socket, socket.socket]


class Sleeper:
    """A clock that stands still but for those who sleep; ``on_sleep`` happens meanwhile."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0
        self.arrives: list[tuple[socket.socket, bytes]] = []

    def monotonic(self) -> float:
        return self.now

    wall = monotonic

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        for sender, data in self.arrives:
            sender.sendall(data)
        self.arrives.clear()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return two ends of a connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    yield ours, theirs
    ours.close()
    theirs.close()


def read(reader: BulkReader, timeout_seconds: float = 30.0) -> bytes:
    """Return what a read brings."""
    return bytes(reader.buffer[: reader.read(timeout_seconds)])


def test_what_arrives_soon_after_a_read_is_gathered(pair: Pair) -> None:
    """One message at a time would cost a read each."""
    ours, theirs = pair
    clock = Sleeper()
    reader = BulkReader(ours, clock=clock)
    theirs.sendall(b"one")
    assert read(reader) == b"one"
    assert clock.slept == []  # nobody has read before

    theirs.sendall(b"two")
    clock.arrives.append((theirs, b"three"))
    assert read(reader) == b"twothree"
    assert len(clock.slept) == 1

    clock.now += 10
    theirs.sendall(b"four")
    assert read(reader) == b"four"
    assert len(clock.slept) == 1  # the last read is long ago


def test_a_backlog_is_read_without_a_pause(pair: Pair) -> None:
    """Who is behind gathers nothing: it is there."""
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    clock = Sleeper()
    reader = BulkReader(ours, clock=clock)
    size = len(reader.buffer)
    theirs.settimeout(0)
    sent = b""
    while True:
        try:
            part = b"%07d\n" % len(sent) * 512
            sent += part[: theirs.send(part)]
        except BlockingIOError:
            break
        if len(sent) > 2 * size:
            break

    got = b""
    while len(got) < len(sent):
        got += read(reader)
    assert got == sent
    assert not clock.slept or len(sent) < size


def test_silence_ends_in_time_and_the_end_is_an_error(pair: Pair) -> None:
    """The last bytes before the end are not lost."""
    ours, theirs = pair
    reader = BulkReader(ours)
    with pytest.raises(TimeoutError):
        reader.read(0.01)

    theirs.sendall(b"goodbye")
    theirs.close()
    assert read(reader) == b"goodbye"
    with pytest.raises(ConnectionResetError, match="closed"):
        reader.read(30)


def test_who_writes_may_wait(pair: Pair) -> None:
    """More than the kernel takes at once is written, and reading goes on without waiting."""
    ours, theirs = pair
    reader = BulkReader(ours)
    with reader.writing(30):
        assert ours.gettimeout() == 30
        ours.sendall(b"hello")
    assert theirs.recv(5) == b"hello"
    with pytest.raises(TimeoutError):
        reader.read(0)


def test_tls_hands_over_all_its_records(tmp_path: Path) -> None:
    """A TLS socket returns a record at a time, and keeps what is left of one to itself."""
    key, certificate = make_certificate(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(certificate))
    sent = bytes(range(256)) * 4_000
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as connection:
            connection.settimeout(30)
            connection.sendall(sent)
            connection.recv(1)

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        served = pool.submit(serve)
        ours.settimeout(30)
        with client.wrap_socket(ours, server_hostname="localhost") as connected:
            reader = BulkReader(connected)
            got = b""
            while len(got) < len(sent):
                with suppress(TimeoutError):  # part of a record
                    got += read(reader)
            assert got == sent
            with reader.writing(30):
                connected.sendall(b".")
            served.result(30)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return files of a private key and of a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "key.pem", folder / "cert.pem"
    no_password = serialization.NoEncryption()
    files[0].write_bytes(
        key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    )
    files[1].write_bytes(certificate.public_bytes(Encoding.PEM))
    return files
