"""Server: what the broker tells of its own memory and alarms.

What this user may not ask, or what does not come in time, is unknown; that is no finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from kombu.exceptions import KombuError

from ..broker.connections import connect
from ..broker.management import Management
from ..broker.protocols import Connection
from ..settings import Settings

__all__ = ["RedisMemory", "rabbitmq_alarms", "redis_memory"]

_SECONDS = 2.0  # for each answer; a server that is well takes milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisMemory:
    """What ``INFO memory`` says: bytes in use, the most there may be (0: no limit), the policy."""

    used: int
    limit: int
    policy: str


def redis_memory(source: Connection) -> RedisMemory | None:
    """Return the memory of the Redis server of ``source``; None if it is unknown. Never raises.

    By ``INFO``, since managed servers such as ElastiCache refuse ``CONFIG``.
    """
    if source.transport.driver_type != "redis":
        return None
    from redis import Redis
    from redis.exceptions import RedisError

    options = {
        **source.transport_options,
        "socket_timeout": _SECONDS,
        "socket_connect_timeout": _SECONDS,
    }
    with (
        suppress(RedisError, KombuError, OSError, ValueError),
        source.clone(connect_timeout=_SECONDS, transport_options=options) as connection,
    ):
        connect(connection)
        return _memory_in(Redis(connection_pool=connection.default_channel.pool).info("memory"))
    return None


def _memory_in(info: Mapping[str, object]) -> RedisMemory | None:
    used, limit, policy = map(info.get, ("used_memory", "maxmemory", "maxmemory_policy"))
    if isinstance(used, int) and isinstance(limit, int) and isinstance(policy, str):
        return RedisMemory(used=used, limit=limit, policy=policy)
    return None


def rabbitmq_alarms(source: Connection, settings: Settings) -> tuple[str, ...] | None:
    """Return the alarms that are on, as ``Management`` does; None if unknown. Never raises."""
    if source.transport.driver_type != "amqp" or not settings.management_url:
        return None
    management = Management(settings.management_url, timeout_seconds=_SECONDS)
    try:
        return management.alarms()
    except Management.gone:
        return None
    finally:
        management.close()
