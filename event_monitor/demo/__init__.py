"""Demo: the whole way from two real workers to CloudWatch, on one machine, in under a minute.

`event-monitor demo` calls ``run_demo``. Everything it starts is its own and is gone afterwards:
the broker, the workers, the monitor, a CloudWatch on loopback. No AWS account is ever reached.
Needs the ``demo`` extra (moto and rich), which is imported only when the demo runs.
"""

from __future__ import annotations

__all__ = ["run_demo"]


def run_demo(*, broker: str | None = None, keep: bool = False) -> int:
    """Run the demo in this terminal and return the exit code.

    0: what the tasks did and what CloudWatch holds agree to the last count; 1: they do not, or
    the demo was interrupted or could not finish. ``broker`` is the URL of a broker to use instead
    of the embedded one; all names on it are unique to this run and removed afterwards. ``sqs`` is
    another embedded one, where ``send_events_over_sqs`` carries the events. With ``keep`` a worker,
    the monitor and its page stay up until Ctrl-C; then the numbers are compared.

    Call it from the main thread. Raises ``UnavailableError`` when the broker cannot be reached,
    ``ModuleNotFoundError`` without the ``demo`` extra.
    """
    from .runner import run_in_terminal

    return run_in_terminal(broker=broker, keep=keep)
