"""Acknowledgement: whether an answer is AWS's own. Pure.

A captive portal, a proxy or any web server may answer with status 200 as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from ..text import printable

__all__ = ["NotCloudWatchError", "require_aws", "require_cloudwatch"]

_REQUEST_ID = "x-amzn-requestid"
_EMPTY_CBOR = (b"\xa0", b"\xbf\xff")  # a map without members, of known or of open length
_SHOWN_BYTES = 40  # of a body


class NotCloudWatchError(Exception):
    """Somebody answered as if all was well, who is not AWS; its text names the endpoint."""


def require_cloudwatch(
    *, endpoint: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Raise ``NotCloudWatchError`` unless this is what CloudWatch answers when it took the data.

    It has an id of the request, and is without members in the protocol of the request: JSON, CBOR,
    or XML in an older boto3.
    """
    require_aws(endpoint=endpoint, status=status, headers=headers, body=body)
    if not _is_empty(body.strip()):
        raise _not_aws(endpoint, status, headers, body, flaw="the answer is not an empty one")


def require_aws(*, endpoint: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise ``NotCloudWatchError`` unless a service of AWS's gave this answer an id, and 200."""
    if status != HTTPStatus.OK:
        raise _not_aws(endpoint, status, headers, body, flaw="the status is not 200")
    if not _named(headers).get(_REQUEST_ID, "").strip():
        raise _not_aws(endpoint, status, headers, body, flaw="there is no x-amzn-RequestId")


def _not_aws(
    endpoint: str, status: int, headers: Mapping[str, str], body: bytes, *, flaw: str
) -> NotCloudWatchError:
    kind = printable(_named(headers).get("content-type", "")) or "without a type"
    begin = printable(body[:_SHOWN_BYTES].decode("ascii", "backslashreplace"))
    return NotCloudWatchError(
        f"{endpoint} answers with status {status}, but not as AWS does: {flaw} ({kind}: "
        f"{begin!r}); is the endpoint's URL right, and no proxy in between"
    )


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_empty(body: bytes) -> bool:
    if not body or body in _EMPTY_CBOR or b"<PutMetricDataResponse" in body[:200]:
        return True
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and not document.keys() - {"ResponseMetadata"}
