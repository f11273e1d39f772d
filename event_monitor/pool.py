"""Pool: urllib3's connections over HTTP and TLS that obey the exchange of the thread using them."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .exchange import BoundedConnection

__all__ = ["bounded_pool"]


class _Connection(BoundedConnection, HTTPConnection):
    """A connection of urllib3's, bounded."""


class _TlsConnection(BoundedConnection, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def bounded_pool(
    *, timeout_seconds: float, headers: Mapping[str, str] | None = None
) -> urllib3.PoolManager:
    """Return a pool that verifies certificates and tries nothing twice; it connects when asked.

    ``timeout_seconds`` is for each read; the deadline of a whole request is its exchange's.
    """
    pool = urllib3.PoolManager(
        headers=headers, retries=False, timeout=timeout_seconds, cert_reqs="CERT_REQUIRED"
    )
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return pool
