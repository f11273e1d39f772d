"""Wire: the body of a message in the event queue, and back. Pure.

A body is plain ASCII, without control characters but for the newlines, so SQS takes it. Line 1 is
the header; each of the others is one JSON value that ``events.decode`` takes as a body: a list of
task events, or one worker or custom event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec

from ..errors import InvalidEvent

__all__ = ["MAX_BODY_BYTES", "Header", "Message", "ascii_json", "decode", "encode"]

MAX_BODY_BYTES = 60_000  # a request is billed for each 64 KiB begun; the rest is for its envelope

_Counter = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who sent a message, as the how-manieth, and how many events that sender lost so far."""

    sender: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{12}$")]  # of one process, in one life
    seq: _Counter  # counts the sender's messages from 0
    dropped: _Counter  # events


class Message(NamedTuple):
    """A message's header, and its lines as ``events.decode`` takes them."""

    header: Header
    lines: list[bytes]


_decode_header = msgspec.json.Decoder(Header).decode


def ascii_json(value: object) -> bytes:
    """Return a value as JSON in one line of plain ASCII. Lone surrogates become question marks.

    Raises ``TypeError`` for what JSON has no form for.
    """
    try:
        line = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, as in undecodable names of files
        line = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    if line.isascii():
        return line
    return json.dumps(json.loads(line), separators=(",", ":")).encode()


def encode(header: Header, lines: Sequence[bytes]) -> str:
    """Return the body of a message with these lines, each as ``ascii_json`` returns it."""
    return b"\n".join([msgspec.json.encode(header), *lines]).decode("ascii")


def decode(body: str) -> Message:
    """Return the message that this is the body of.

    Raises ``InvalidEvent`` if its first line is no header of ours. The other lines are not looked
    into: whoever may send can send anything.
    """
    first, *lines = body.encode("utf-8", "replace").split(b"\n")
    try:
        header = _decode_header(first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("no message of send_events_over_sqs", str(error)) from error
    return Message(header, [line for line in lines if line])
