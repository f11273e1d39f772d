"""Sentences: what is or was wrong, in words, with the thing that it is about to be linked. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["About", "Sentence", "sentence_of"]

#: What a sentence is about; empty if nothing that has a name.
About = Literal["", "queue", "worker", "name"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """What stands before and after the name of a queue, worker or task; without one all is before.

    The name came from whoever may write to the broker.
    """

    before: str
    subject: str = ""
    after: str = ""
    about: About = ""

    def __str__(self) -> str:
        return f"{self.before}{self.subject}{self.after}"


# What is so and what was, with {} for the subject and {n} for how many.
_WORDS: dict[str, tuple[About, str, str]] = {
    "worker-lost": ("worker", "{} is lost", "{} was lost"),
    "worker-stalled": ("worker", "{} does nothing while work waits", "{} did nothing"),
    "tasks-orphaned": ("worker", "{} left {n} unfinished", "{} left {n} unfinished"),
    "broker-away": ("", "the broker is away", "the broker was away"),
    "publishing-fails": ("", "metrics cannot be sent", "metrics could not be sent"),
    "events-lost": (
        "worker",
        "{n} of {} were never reported as started",
        "{n} of {} were never reported as started",
    ),
    "queue-warning": ("queue", "queue {} is over its limit", "queue {} was over its limit"),
    "queue-critical": (
        "queue",
        "queue {} is over its second limit",
        "queue {} was over its second limit",
    ),
    "queue-unread": ("queue", "nobody reads queue {}", "nobody read queue {}"),
    "tasks-failing": ("name", "{} does nothing but fail", "{} did nothing but fail"),
    "schedule-overdue": ("name", "{} is overdue", "{} was overdue"),
    "second-monitor": (
        "",
        "a second monitor publishes the same, so that everything counts twice: {}",
        "a second monitor published the same, so that everything counted twice: {}",
    ),
}


def sentence_of(kind: str, subject: str, *, tasks: int = 0, is_over: bool = False) -> Sentence:
    """Return the sentence for an incident; that of a kind that is not known names it."""
    unknown: tuple[About, str, str] = ("", f"{kind} {{}}", f"{kind} {{}}")
    about, now, then = _WORDS.get(kind, unknown)
    many = "1 task" if tasks == 1 else f"{tasks:,} tasks"
    before, _, after = (
        part.replace("{n}", many) for part in (then if is_over else now).partition("{}")
    )
    return Sentence(before, subject, after, about)
