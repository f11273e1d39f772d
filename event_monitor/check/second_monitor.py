"""Second monitor: who publishes already, and whether one that is started beside it stands by."""

from __future__ import annotations

from collections.abc import Iterator

from ..broker.own_events import OwnEventSender, count_readers
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..events import OwnEvent
from ..leader import Holder, LeaseRefusedError, lease_for, lease_name
from ..settings import Settings
from .finding import Finding, listed
from .listener import Listener, subscription_error
from .rights import Need, missing_right

__all__ = ["examine_second_monitor", "judge_monitors"]

_SUBSCRIBE_SECONDS = 5.0
_ANSWER_SECONDS = 1.5  # a monitor answers at once
_NAME = "second monitor"


def examine_second_monitor(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Finding]:
    """Yield a finding if the lock that lets one of several monitors lead cannot be had.

    A lock beside it is taken, and given back. Then one on the monitors that run, as they say.
    """
    if settings.durable_queue:
        return
    name, holder = lease_name(app, settings), Holder.here()
    lease = lease_for(app, f"{name}.check", holder=holder)
    if lease is None:
        return
    if settings.leader == "auto":
        try:
            lease.acquire()
        except LeaseRefusedError as error:
            right = missing_right(error, Need(keys=f"~{name}*"))
            yield Finding(
                _NAME,
                "warning",
                f"would count everything again: the lock {name} is refused: {right or error}",
                "Allow it, or run one monitor only. On Redis it takes SET, GET, DEL, PEXPIRE, PTTL "
                "and scripts (EVALSHA, SCRIPT LOAD); on RabbitMQ, to configure and read that "
                "queue.",
            )
        except OSError:
            return  # another finding has it
        finally:
            lease.release()
    answers, readers = _ask(app, name, holder, clock=clock)
    witness = next((answer for answer in answers if answer.old), None)
    if witness is not None:
        yield judge_old_version(witness)
    yield from judge_monitors(answers, is_off=settings.leader == "off")
    if readers is not None and readers > len(answers):
        yield judge_readers(readers - len(answers))


def judge_readers(count: int) -> Finding:
    """Return the finding on those who receive the events and do not say who they are."""
    others = "somebody else reads" if count == 1 else f"{count} others read"
    return Finding(
        _NAME,
        "note",
        f"{others} the events, and no monitor of these settings answers for it: Flower, `celery "
        "events`, a monitor of another namespace, or one of a version that has no lock",
        "Stop a monitor of an old version before a new one starts: both would publish the same.",
    )


def judge_old_version(witness: OwnEvent) -> Finding:
    """Return the finding on a monitor that says nothing, by one that has noticed it."""
    return Finding(
        _NAME,
        "warning",
        f"a monitor of an older version runs, as {witness.who[:200]} has noticed: unless it "
        "publishes another namespace or other dimensions, everything counts twice",
        "Stop it: it asks for no lock.",
    )


def judge_monitors(answers: tuple[OwnEvent, ...], *, is_off: bool) -> Iterator[Finding]:
    """Yield a finding on the monitors that answered; ``is_off``: one started here asks nobody."""
    publishing = [answer for answer in answers if answer.role in ("alone", "leader")]
    names = listed([answer.who[:200] for answer in publishing])
    if len(publishing) > 1 and any(answer.role == "alone" for answer in publishing):
        yield Finding(
            _NAME,
            "warning",
            f"{len(publishing)} monitors publish the same, so that everything counts twice: "
            f"{names}",
            "Run one only, or let all have `leader = auto`, and the rights to the lock.",
        )
    elif publishing and is_off:
        yield Finding(
            _NAME,
            "warning",
            f"would count everything again: {names} publishes already, and `leader` is off",
            "Leave `leader` out: the second one then stands by.",
        )
    elif publishing and publishing[0].role == "alone":
        yield Finding(
            _NAME,
            "warning",
            f"would count everything again: {names} publishes already, and holds no lock",
            "Let it have `leader = auto`, and the rights to the lock.",
        )
    elif publishing:
        standbys = sum(answer.role == "standby" for answer in answers)
        also = f", and {standbys} stand{'s' if standbys == 1 else ''} by" if standbys else ""
        yield Finding(_NAME, "ok", f"{names} publishes{also}; one started beside it stands by")


def _ask(
    app: CeleryApp, name: str, holder: Holder, *, clock: Clock
) -> tuple[tuple[OwnEvent, ...], int | None]:
    """Return what the monitors say that would publish the same; nothing if none can be asked.

    And how many read the events besides us, None if that is not known.
    """
    if subscription_error(app, clock=clock) is not None:
        return (), None  # another finding has it
    sender = OwnEventSender(app)
    with Listener(app, clock=clock) as listener:
        try:
            if not listener.wait(_SUBSCRIBE_SECONDS):
                return (), None
            sender.send(monitors=name, sender=holder.id, who=str(holder), what="ask")
        except OSError:
            return (), None  # another finding has it
        finally:
            sender.close()
        clock.sleep(_ANSWER_SECONDS)
        received = listener.received()
        readers = _count_readers(app)
    answers = {
        found.event.sender: found.event
        for found in received
        if isinstance(found.event, OwnEvent)
        and found.event.monitors == name
        and found.event.what in ("here", "join", "cut")
    }
    return tuple(answers.values()), readers


def _count_readers(app: CeleryApp) -> int | None:
    try:
        count = count_readers(app)
    except Exception:  # noqa: BLE001  drivers raise anything, and this is only a hint
        return None
    return None if count is None else max(0, count - 1)
