"""Refusals: what to do where a broker answers, and will not let us in. Pure."""

from __future__ import annotations

import re

__all__ = ["remedy_for"]

#: What to do, by what the server says.
_REMEDIES = {
    re.compile(r"vhost .* not found"): (
        "The vhost is what follows the slash after the host: amqp://host/name, or amqp://host// "
        "for the vhost '/'."
    ),
    re.compile(r"access to vhost .* refused"): (
        "This user has no right on that vhost: rabbitmqctl set_permissions gives it some."
    ),
    re.compile(r"Login was refused|WRONGPASS|invalid (username-)?password"): (
        "User or password are wrong; in a URL special characters are percent-encoded."
    ),
    re.compile(r"certificate verify failed"): (
        "The server's certificate has expired, is for another host, or is of an authority of your "
        "own: name that in ssl_ca_certs."
    ),
    re.compile(r"NOAUTH|Authentication required"): (
        "The server wants a password, and the URL has none: redis://:password@host."
    ),
    re.compile(r"NOPERM|no permissions to|access to (exchange|queue|topic) .* refused"): (
        "The broker's user lacks a right; `event-monitor check` says which."
    ),
    re.compile(r"NonExistentQueue|QueueDoesNotExist"): (
        "The queue is not there, or in another region: `event-monitor provision` makes it."
    ),
    re.compile(r"AccessDenied.* operation|not authorized to perform: sqs"): (
        "The monitor needs sqs:GetQueueUrl, sqs:GetQueueAttributes, sqs:ReceiveMessage, "
        "sqs:DeleteMessage and sqs:ChangeMessageVisibility on that queue."
    ),
    re.compile(r"DB index is out of range|invalid DB index"): (
        "This Redis has no database of that number: it is what follows the slash after the host."
    ),
}


def remedy_for(reason: str) -> str | None:
    """Return what to do about what the server said; None if it is no refusal that we know."""
    return next((remedy for said, remedy in _REMEDIES.items() if said.search(reason)), None)
