"""MessagePack: which values it can hold. Pure.

Names and numbers come from whoever may write to the broker, and JSON holds more than MessagePack:
a lone surrogate, an integer beyond 64 bits.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["NOT_ENCODABLE", "encodable"]

T = TypeVar("T")

#: What ``msgspec.msgpack.encode`` raises for such a value.
NOT_ENCODABLE = (UnicodeEncodeError, OverflowError, TypeError)


def encodable(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return the values that can be encoded, in their order: nearly always the tuple as it is."""
    if _is_encodable(values):
        return values
    return tuple(value for value in values if _is_encodable(value))


def _is_encodable(value: object) -> bool:
    try:
        msgspec.msgpack.encode(value)
    except NOT_ENCODABLE:
        return False
    return True
