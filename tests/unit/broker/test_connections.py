"""Connections: none takes for ever, and a compressed message stays as it is."""

from __future__ import annotations

import bz2
import threading
from types import SimpleNamespace

import pytest
from kombu import Connection
from kombu.transport.pyamqp import Message as AmqpMessage
from kombu.transport.virtual import Message as VirtualMessage

from event_monitor.broker.connections import connect, shown, without_decompression
from event_monitor.exchange import LateError

from ...support.answering import Answering, trickle

BOMB = bz2.compress(b" " * 1_000_000)
CHANNEL = SimpleNamespace(decode_body=lambda body, _encoding: body)
DEADLINE = 60.0  # seconds; only a thread that stays takes that long
COMPRESSED = {"compression": "application/x-bz2", "hostname": "celery@h"}


def virtual(headers: object) -> dict[str, object]:
    """As kombu's virtual transports keep a message."""
    return {
        "body": BOMB,
        "headers": headers,
        "properties": {"delivery_tag": "1", "delivery_info": {}},
        "content-type": "application/json",
        "content-encoding": "binary",
    }


def amqp(headers: object) -> SimpleNamespace:
    """As py-amqp makes one."""
    return SimpleNamespace(
        body=BOMB,
        properties={"application_headers": headers, "content_type": "application/json"},
        delivery_tag=1,
        delivery_info={},
    )


@pytest.mark.parametrize(
    ("message_class", "payload"),
    [(VirtualMessage, virtual(COMPRESSED)), (AmqpMessage, amqp(COMPRESSED))],
)
def test_a_compressed_body_is_left_as_it_is(message_class: type, payload: object) -> None:
    message = without_decompression(message_class)(payload, channel=CHANNEL)

    assert message.compressed
    assert message.body == BOMB
    assert message.headers == {"hostname": "celery@h"}


@pytest.mark.parametrize(
    ("message_class", "payload"),
    [(VirtualMessage, virtual({})), (AmqpMessage, amqp({"hostname": "celery@h"}))],
)
def test_any_other_message_is_as_kombu_makes_it(message_class: type, payload: object) -> None:
    message = without_decompression(message_class)(payload, channel=CHANNEL)

    assert not message.compressed
    assert message.body == BOMB
    assert message.content_type == "application/json"


@pytest.mark.parametrize(
    ("url", "head", "options"),
    [
        ("redis://127.0.0.1:{}/0", b"+", {}),
        ("sentinel://127.0.0.1:{}/0", b"+", {"master_name": "m"}),
        ("amqp://127.0.0.1:{}//", b"\x01\0\0\0\0\0\xff", {}),
        ("amqps://127.0.0.1:{}//", b"\x16\x03\x03\x40\0", {}),
    ],
    ids=["redis", "sentinel", "amqp", "amqps"],
)
def test_a_server_that_answers_byte_by_byte_is_given_up(
    url: str, head: bytes, options: dict[str, str]
) -> None:
    """The drivers' time-outs are for each read, and none of these is late; no thread stays."""
    before = set(threading.enumerate())
    with Answering(trickle(head)) as server:
        connection = Connection(
            url.format(server.port), connect_timeout=5, transport_options=options
        )

        with pytest.raises(LateError):
            connect(connection, whole_seconds=0.5)

        assert server.gone.wait(DEADLINE)
        attempts = {thread for thread in threading.enumerate() if thread.name == "exchange"}
        for attempt in attempts - before:
            attempt.join(DEADLINE)
            assert not attempt.is_alive()


def test_a_password_in_the_place_of_the_virtual_host_is_not_shown() -> None:
    """Kombu's own form of the URL masks the first of the two only."""
    url = "amqp://user:se%2Fcret@mq:5672/se%2Fcret"

    assert shown(Connection(url)) == "amqp://user:**@mq:5672/**"
