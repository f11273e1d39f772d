"""Publisher: takes metrics from the camera into the spool, and from the spool to the sink.

One thread sends, oldest batch first, one at a time. A batch leaves the spool only when the sink
has taken it. A process killed between the two leaves it there, and the next process decides what
to do with it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from ..clock import SYSTEM_CLOCK, Clock
from ..metrics import Metric
from ..sinks import Outcome, Sink
from ..snapshot import PublisherActivity, PublisherReport
from .clock_steps import ClockSteps
from .shared_batches import SharedBatches
from .spool import Spool

__all__ = ["Gate", "Publisher", "full_jitter"]

log = logging.getLogger(__name__)

_BACKOFF_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 60.0
_DRAIN_BACKOFF_SECONDS = 1.0  # at most, while somebody waits for ``close``
_GIVE_UP_SECONDS = 0.5  # after the deadline, for a thread that only waits between two sends
_SILENT_SECONDS = 1.0  # a stop that takes longer says what it waits for
_REPEAT_WARNING_SECONDS = 60.0
_MOST_FAILURES = 3  # in a row, after which we leave what others can send as well
_GIVES_WAY_SECONDS = 20.0  # without success, after which another monitor may try
_STAYS_SECONDS = 300.0  # before it may again: where all fail, they do not take turns all the time
_LOOK_SECONDS = 0.2  # while what others hold, too, waits until we may send it
_REQUEST_SECONDS = 60.0  # how long a request may take to a sink that does not say so


def full_jitter(
    failures: int, *, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Return the seconds to wait after that many failures in a row.

    They are random, so that monitors do not all come back at once: "full jitter" of AWS's article
    "Exponential Backoff And Jitter".
    ``uniform(a, b)`` returns a random number between the two.
    """
    longest = min(_MAX_BACKOFF_SECONDS, _BACKOFF_SECONDS * 2 ** min(failures, 10))
    return uniform(0, longest)


class Gate(Protocol):
    """Whether we may send a window that others hold as well; see ``leader.windows.Windows``."""

    def leads(self) -> bool:
        """Return whether we may send such a window now."""
        ...

    def stands_by(self) -> bool:
        """Return whether another sends them."""
        ...

    def give_way(self) -> bool:
        """Let another send them, which may be able to; return False if there is none."""
        ...

    def has_heirs(self, window: str) -> bool:
        """Return whether another that is there holds this one as well."""
        ...

    def is_ours(self, window: str) -> bool:
        """Return whether it is for us to send it, whoever leads, as nobody else holds it."""
        ...

    def admit(self, window: str) -> Literal["send", "wait", "doubt"]:
        """Return whether to send this one; ``doubt``, once, if it may have been sent."""
        ...

    def begin(self, window: str) -> bool:
        """Tell the others that we send it; return False if it must not be sent now."""
        ...

    def end(self, window: str, *, accepted: bool) -> None:
        """Tell them that all of it was accepted, or none."""
        ...


class Publisher:
    """Sends what it is given until it has arrived. ``start`` it, ``publish``, ``close`` it.

    ``publish`` and ``report`` are thread-safe and wait for no network. The spool has to be open
    before the first of them; ``close`` closes both sink and spool. ``backoff`` returns the seconds
    to wait after so many failures in a row. ``on_crash`` is called from the publisher's thread when
    that thread dies of a bug, ``on_accepted`` there each time with how many metrics have arrived
    and how many are left; it must neither wait nor raise.

    What other monitors hold as well is sent only as far as ``gate`` lets it through; it is kept in
    memory. ``drop_doubtful``: what another may have sent before it died is not sent again.
    """

    def __init__(
        self,
        sink: Sink,
        spool: Spool,
        *,
        clock: Clock = SYSTEM_CLOCK,
        backoff: Callable[[int], float] = full_jitter,
        on_crash: Callable[[BaseException], None] | None = None,
        on_accepted: Callable[[int, int], None] | None = None,
        gate: Gate | None = None,
        shared: SharedBatches | None = None,
        drop_doubtful: bool = False,
    ) -> None:
        self._sink = sink
        self._spool = spool
        self._gate = gate
        self._shared = SharedBatches(megabytes=256) if shared is None else shared
        self._drop_doubtful = drop_doubtful
        self._sends_shared = False
        if gate is not None and hasattr(sink, "may_send"):
            sink.may_send = self._may_send
        self._clock_steps = ClockSteps(clock)
        if hasattr(sink, "age_of"):
            sink.age_of = self._clock_steps.age_of
        self._clock: Clock = clock
        self._backoff = backoff
        self._on_crash = on_crash
        self._on_accepted = on_accepted
        self._lock = threading.Lock()
        self._report = PublisherReport()
        self._wake_up = threading.Event()  # there is a batch to send, or the end has come
        self._closing = threading.Event()  # send what is left, then end
        self._give_up = threading.Event()  # end now
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._released = False  # sink and spool are closed, or being closed
        self._lost = 0
        self._failures = 0  # in a row
        self._error: str | None = None  # of the last send, if it failed
        self._failing_since = 0.0
        self._gave_way_at = float("-inf")
        self._useless_since: float | None = None  # we lead, and nothing is accepted
        self._warned_at = 0.0
        self._started_at = clock.wall()
        self._accepted_at: float | None = None  # wall-clock seconds
        self._sending_since: float | None = None  # monotonic seconds

    # -- any thread ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the sending, with what is left from the last process."""
        self._thread.start()

    def publish(
        self, metrics: tuple[Metric, ...], *, checkpoint: bytes | None = None, shared_as: str = ""
    ) -> bool:
        """Keep the metrics until they have arrived, and the checkpoint that belongs to them.

        ``shared_as`` is the id of a window that other monitors hold as well. Return whether both
        are on disk, and all that was published before as well.
        """
        self._clock_steps.look()
        if shared_as:
            self._shared.append(shared_as, metrics)
            self._wake_up.set()
            return False
        on_disk = self._spool.append(metrics, checkpoint=checkpoint)
        self._wake_up.set()
        return on_disk

    def settle(self, window: str) -> None:
        """Forget a window: another monitor has sent it."""
        self._shared.settle(window)

    def wake(self) -> None:
        """Look again whether something may be sent."""
        self._wake_up.set()

    def report(self) -> PublisherReport:
        """Return what happened since the last call.

        Every failure and every loss is in exactly one report.
        """
        with self._lock:
            report = self._report
            self._report = PublisherReport(flush_seconds=report.flush_seconds)
        return replace(
            report,
            dropped=report.dropped + self._spool.take_dropped() + self._shared.take_dropped(),
            ambiguous=report.ambiguous + self._spool.take_interrupted(),
            unsent=self._left(),
            unsent_seconds=self._spool.oldest_seconds(),
        )

    @property
    def lost(self) -> int:
        """Return how many metrics were dropped because an output that keeps nothing failed."""
        return self._lost

    @property
    def inherited(self) -> int:
        """Return how many metrics we have not sent that another monitor holds, and sends."""
        gate = self._gate
        if gate is None:
            return 0
        return sum(map(self._shared.size, filter(gate.has_heirs, self._shared.windows())))

    def activity(self) -> PublisherActivity:
        """Return what the publisher does now; waits for nobody."""
        since = self._sending_since
        if since is not None:  # a sink may say when the last of several requests began
            since = max(since, getattr(self._sink, "request_started_at", None) or since)
        return PublisherActivity(
            sending_seconds=None if since is None else self._clock.monotonic() - since,
            deadline_seconds=getattr(self._sink, "deadline_seconds", _REQUEST_SECONDS),
            accepted_at=self._accepted_at,
            started_at=self._started_at,
        )

    @property
    def is_all_safe(self) -> bool:
        """Whether all that was published has arrived, or is on disk. Any thread may ask."""
        return self._spool.is_all_safe

    def close(self, deadline_seconds: float) -> int:
        """Try to send what is left, for that long; return how many metrics are still unsent.

        Sink and spool are closed then. A send that goes on beyond the deadline is left behind, and
        they are closed when it returns. Calling it before ``start``, or again, is harmless.
        """
        self._closing.set()
        self._wake_up.set()
        if self._thread.ident is not None:  # it was started
            deadline_seconds = max(0.0, deadline_seconds)
            self._thread.join(min(_SILENT_SECONDS, deadline_seconds))
            if self._thread.is_alive() and deadline_seconds > _SILENT_SECONDS:
                log.info(
                    "waiting %.0f s at most for %d metrics to be sent%s",
                    deadline_seconds,
                    self._left(),
                    f", but publishing fails: {self._error}" if self._error else "",
                )
                self._thread.join(deadline_seconds - _SILENT_SECONDS)
            self._give_up.set()
            self._thread.join(_GIVE_UP_SECONDS)
        if not self._thread.is_alive():  # else the thread does it, when its send returns
            self._release()
        return len(self._spool)

    # -- the publisher's thread ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._send_until_closed()
        except BaseException as error:
            log.exception("the publisher's thread died")
            if self._on_crash:
                self._on_crash(error)
        if self._give_up.is_set():  # ``close`` may have returned without it
            self._release()

    def _send_until_closed(self) -> None:
        self._prepare()
        while not self._give_up.is_set():
            self._wake_up.clear()  # before looking, so that no batch is overlooked
            batch = self._spool.oldest()
            if batch is not None:
                outcome = self._send(batch.metrics)
                # Also when nothing arrived: the file must not say any more that it is being sent.
                self._spool.replace(batch.id, outcome.unsent)
                self._settle(batch.metrics, outcome)
            elif self._closing.is_set() and self._leaves_all_to_others():
                return
            elif self._keep_ours() or self._send_shared():
                pass
            elif self._closing.is_set() and not self._awaits_gate():
                return
            else:
                self._wake_up.wait(_LOOK_SECONDS if len(self._shared) else None)

    def _keep_ours(self) -> bool:
        """Take the oldest window for our own if nobody else holds it any more; return whether.

        Such as one of an outage whose other holder was replaced meanwhile.
        """
        gate, window = self._gate, next(iter(self._shared.windows()), None)
        if gate is None or window is None or not gate.is_ours(window):
            return False
        verdict = gate.admit(window)
        if verdict == "wait":
            return False
        if verdict == "doubt":
            self._note_doubt(window, self._shared.size(window))
        self._spool.append(self._shared.take(window))
        gate.end(window, accepted=True)  # who holds it and comes back must not send it
        return True

    def _send_shared(self) -> bool:
        """Send the oldest window that others hold, too; return False if none is to be sent."""
        gate = self._gate
        if gate is None or not gate.leads():
            self._useless_since = None
            return False
        found = self._shared.oldest()
        if found is None:
            return False
        window, metrics = found
        verdict = gate.admit(window)
        if verdict == "doubt":
            self._note_doubt(window, len(metrics))
        elif verdict == "wait" or not gate.begin(window):
            self._give_up.wait(_LOOK_SECONDS)
        else:
            self._sends_shared = True
            outcome = self._send(metrics)
            self._sends_shared = False
            is_stopped = outcome.error is None and bool(outcome.unsent)  # by the gate
            self._shared.replace(window, outcome.unsent)
            if not outcome.unsent:
                gate.end(window, accepted=True)
            elif len(outcome.unsent) == len(metrics) and not outcome.ambiguous:
                gate.end(window, accepted=False)
            self._settle(metrics, outcome, backs_off=not is_stopped)
        return True

    def _note_doubt(self, window: str, metrics: int) -> None:
        """Count a window that another monitor was sending when it died: it may have arrived."""
        log.warning(
            "%d metrics were being sent when the monitor that led died: they may have arrived; %s",
            metrics,
            "dropped" if self._drop_doubtful else "sending them (again)",
        )
        if self._drop_doubtful:
            self._shared.settle(window)
        with self._lock:
            self._report = replace(
                self._report,
                ambiguous=self._report.ambiguous + 1,
                dropped=self._report.dropped + (metrics if self._drop_doubtful else 0),
            )

    def _leaves_all_to_others(self) -> bool:
        """Return whether sending fails now, and others hold all that is left, and try it next."""
        fails = self._useless_since is not None and self._failures >= _MOST_FAILURES
        return fails and self.inherited == len(self._shared)

    def _awaits_gate(self) -> bool:
        """Return whether something may be sent yet, if we turn out to lead."""
        return self._gate is not None and bool(len(self._shared)) and not self._gate.stands_by()

    def _may_send(self) -> bool:
        """Return whether the next request may leave: we may have been stopped since the last."""
        return not self._sends_shared or self._gate is None or self._gate.leads()

    def _left(self) -> int:
        """Return how many metrics are left for us to send."""
        stands_by = self._gate is not None and self._gate.stands_by()
        return len(self._spool) + (0 if stands_by else len(self._shared))

    def _prepare(self) -> None:
        """Find out before the first send whether it could work, and warn if not."""
        prepare: Callable[[], str | None] = getattr(self._sink, "prepare", lambda: None)
        self._error = prepare()
        if self._error is not None:
            self._fail("publishing cannot work yet, metrics are kept: %s", self._error)

    def _send(self, metrics: tuple[Metric, ...]) -> Outcome:
        started_at = self._clock.monotonic()
        self._sending_since = started_at
        outcome = self._sink.send(metrics)
        self._sending_since = None
        if len(metrics) > len(outcome.unsent) + outcome.dropped:
            self._accepted_at = self._clock.wall()
        if outcome.failures and not outcome.unsent and not outcome.ambiguous:  # not sent again
            self._lost += outcome.dropped
        with self._lock:
            self._report = PublisherReport(
                failures=self._report.failures + outcome.failures,
                ambiguous=self._report.ambiguous + outcome.ambiguous,
                dropped=self._report.dropped + outcome.dropped,
                flush_seconds=self._clock.monotonic() - started_at,
            )
        return outcome

    def _settle(
        self, metrics: tuple[Metric, ...], outcome: Outcome, *, backs_off: bool = True
    ) -> None:
        """Tell what has arrived, and wait a while after a failure."""
        accepted = len(metrics) - len(outcome.unsent) - outcome.dropped
        if accepted > 0 and self._on_accepted is not None:
            self._on_accepted(accepted, self._left())
        if outcome.failures or outcome.unsent:
            if backs_off:
                self._back_off(outcome)
        elif self._failures:
            seconds = self._clock.monotonic() - self._failing_since
            log.info("publishing again, after %d failures in %.0f s", self._failures, seconds)
            self._failures, self._error, self._useless_since = 0, None, None

    def _back_off(self, outcome: Outcome) -> None:
        """Log a failed send, now and then, and wait before the next."""
        self._error = outcome.error
        self._fail(
            "publishing failed, %d metrics wait: %s (failures in a row: %d)",
            self._left(),
            outcome.error,
            self._failures + 1,
        )
        seconds = self._backoff(self._failures)
        if self._closing.is_set():
            self._give_up.wait(min(seconds, _DRAIN_BACKOFF_SECONDS))
        else:
            self._closing.wait(seconds)

    def _fail(self, message: str, *facts: object) -> None:
        """Count a failure in a row, and log it unless one was logged a short while ago."""
        now = self._clock.monotonic()
        self._failures += 1
        if self._failures == 1:
            self._failing_since = now
        self._give_way_if_others_may_succeed(now)
        if self._failures == 1 or now - self._warned_at >= _REPEAT_WARNING_SECONDS:
            self._warned_at = now
            log.warning(message, *facts)

    def _give_way_if_others_may_succeed(self, now: float) -> None:
        """Let a standby lead where nothing has been accepted from us for a while, now and then."""
        gate = self._gate
        if gate is None or not gate.leads():
            self._useless_since = None
            return
        if self._useless_since is None:
            self._useless_since = now
        fails_for_long = now - self._useless_since >= _GIVES_WAY_SECONDS
        if fails_for_long and now - self._gave_way_at >= _STAYS_SECONDS and gate.give_way():
            self._gave_way_at, self._useless_since = now, None

    def _release(self) -> None:
        """Close sink and spool, once, whichever thread comes first."""
        with self._lock:
            if self._released:
                return
            self._released = True
        kept = []
        for window in self._shared.windows():
            if self._gate is not None and not self._gate.has_heirs(window):
                on_disk = self._spool.append(self._shared.take(window))
                kept += [window] * on_disk  # else who comes back may still have it, and send it
        for name, resource in (("sink", self._sink), ("spool", self._spool)):
            try:
                resource.close()
            except Exception:
                log.exception("closing the %s failed", name)
        for window in kept:
            if self._gate is not None:
                self._gate.end(window, accepted=True)  # who comes back must not send it
