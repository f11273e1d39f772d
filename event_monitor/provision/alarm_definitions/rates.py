"""Rates: the expressions and periods that alarms on shares of tasks have in common."""

from __future__ import annotations

__all__ = [
    "AT_ONCE",
    "FAILED",
    "FAILURE_PERCENT",
    "RATE_LASTING",
    "RATE_PERIOD",
    "RETRIED",
    "RETRY_PERCENT",
    "TASK_RATE_PERIOD",
]

# Percentages are 0 while too few fail for one to mean anything.
FAILURE_PERCENT = "IF(m0>={min_failures}, 100*m0/(m0+m1), 0)"
RETRY_PERCENT = "IF(m0>={min_failures}, 100*m0/(m0+m1+m2), 0)"
FAILED = ("TasksFailed", "TasksSucceeded")
# In total TasksRetried is without celery.chord_unlock, see there (`metrics/totals.py`).
RETRIED = ("TasksRetried", "TasksFailed", "TasksSucceeded")

# A rate is that of three minutes, three times: a small shop has some failures in these, and a
# failing minute of a busy one has been outweighed by then. A single task may run seldom.
RATE_PERIOD, RATE_LASTING = 180, 540
TASK_RATE_PERIOD = 1_800

AT_ONCE = 60  # what is counted in one minute only
