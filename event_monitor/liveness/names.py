"""Names: which monitor a sign of life belongs to. Pure.

A name has a digest of the broker, the namespace and the dimensions each, so that a health check
that knows only some of them finds the signs that fit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote

__all__ = ["Identity", "Sign", "address_of", "beat_identity", "name_in", "worker_identity"]

# Of a monitor, of Celery's beat, of a worker; or what a monitor knows of its workers.
Sign = Literal["alive", "beat", "worker", "roster"]

_DIGITS = 12
_PORTS = {"amqp": "5672", "pyamqp": "5672", "amqps": "5671", "sentinel": "26379"}
_REDIS_PORT = "6379"  # of redis:// and rediss://, and of what else may look like them


class ConnectionAddress(Protocol):
    """The part of kombu's connection that says where it leads."""

    @property
    def transport_cls(self) -> str:
        """The scheme of its URL."""
        ...

    @property
    def hostname(self) -> str | None:
        """The host; None for those that have none."""
        ...

    @property
    def port(self) -> int | None:
        """The port; None for the usual one."""
        ...

    @property
    def virtual_host(self) -> str:
        """Virtual host or database."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a monitor watches, and as what it publishes. None is not known.

    Of the broker's URL only scheme, host, port and path count: no password is in the name.
    """

    broker: str | None = None
    namespace: str | None = None
    dimensions: tuple[tuple[str, str], ...] | None = None
    sign: Sign = "alive"

    @property
    def name(self) -> str:
        """The name of its sign; a glob where something is not known."""
        parts = (
            None if self.broker is None else _broker_key(self.broker),
            self.namespace,
            None if self.dimensions is None else repr(sorted(self.dimensions)),
        )
        if parts == (None, None, None):
            return f"{self.sign}*"
        return "-".join([self.sign, *("*" if part is None else _digest(part) for part in parts)])


def beat_identity(broker: str | None) -> Identity:
    """Return that of the beat that sends to this broker; of any if it is not known."""
    return Identity(sign="beat", broker=broker, namespace="", dimensions=())


def worker_identity(broker: str, nodename: str) -> Identity:
    """Return that of the worker of this name on this broker."""
    return Identity(sign="worker", broker=broker, namespace=nodename, dimensions=())


def name_in(state_dir: str, sign: Sign = "alive") -> str:
    """Return the name by which the only monitor, or beat, of a ``state_dir`` is known outside."""
    kind = "state" if sign == "alive" else f"state-{sign}"
    return f"{kind}-{_digest(str(Path(state_dir).absolute()))}"


def address_of(connection: ConnectionAddress) -> str:
    """Return the URL of the broker, without user and password."""
    host = connection.hostname or ""
    if host.startswith("socket://"):
        return f"redis+{host}"
    host = f"[{host}]" if ":" in host else host
    place = f"{host}:{connection.port}" if connection.port else host
    return f"{connection.transport_cls}://{place}/{connection.virtual_host or ''}"


def _broker_key(url: str) -> str:
    """Return the same text for every spelling of the first broker in the URL."""
    scheme, _, rest = url.partition(";")[0].partition("://")
    # The last "@" ends the password, whatever else was mistyped in it.
    place, _, path = rest.rpartition("@")[2].partition("?")[0].partition("/")
    end = place.find("]") + 1  # of an IPv6 address
    host, port = place[:end], place[end:].removeprefix(":")
    if not end:
        host, _, port = place.partition(":")
    host, path = unquote(host), unquote(path).strip("/")
    scheme = scheme.lower()
    if "redis" in scheme or scheme == "sentinel":
        path = path or "0"
    return (
        f"{scheme}://{host.lower() or 'localhost'}:{port or _PORTS.get(scheme, _REDIS_PORT)}/{path}"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
