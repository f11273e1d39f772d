"""Second monitor: whether one that is started beside another would stand by."""

from __future__ import annotations

from collections.abc import Iterator

from ..broker.protocols import CeleryApp
from ..leader import Holder, LeaseRefusedError, lease_for, lease_name
from ..settings import Settings
from .finding import Finding
from .rights import Need, missing_right

__all__ = ["examine_second_monitor"]


def examine_second_monitor(app: CeleryApp, settings: Settings) -> Iterator[Finding]:
    """Yield a finding if the lock that lets one of several monitors lead cannot be had.

    A lock beside it is taken, and given back.
    """
    if settings.leader == "off" or settings.durable_queue:
        return
    name = lease_name(app, settings)
    lease = lease_for(app, f"{name}.check", holder=Holder.here())
    if lease is None:
        return
    try:
        lease.acquire()
    except LeaseRefusedError as error:
        right = missing_right(error, Need(keys=f"~{name}*"))
        yield Finding(
            "second monitor",
            "warning",
            f"would count everything again: the lock {name} is refused: {right or error}",
            "Allow it, or run one monitor only. On Redis it takes SET, GET, DEL, PEXPIRE, PTTL and "
            "scripts (EVALSHA, SCRIPT LOAD); on RabbitMQ, to configure and read that queue.",
        )
    except OSError:
        return  # another finding has it
    finally:
        lease.release()
