"""Own code: which file of a traceback is the app's, and which somebody else's. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_foreign"]

#: Frames of these are not the app's: installed packages, Python's own library, and code without a
#: file; Celery and what it runs on also where they are installed from a checkout.
_FOREIGN = re.compile(
    r"[/\\](?:site|dist)-packages[/\\]"
    r"|[/\\]lib(?:64)?[/\\]python\d[\d.]*[/\\]"
    r"|(?:^|[/\\])celery[/\\](?:app[/\\](?:autoretry|base|builtins|task|trace)"
    r"|worker[/\\]request|concurrency[/\\]\w+|local|canvas|result)\.py$"
    r"|(?:^|[/\\])(?:billiard|kombu|vine|amqp)[/\\](?:\w+[/\\])*\w+\.py$"
    r"|^<",
    re.IGNORECASE,
)


@lru_cache(maxsize=2_000)  # the same few files, over and over
def is_foreign(path: str) -> bool:
    """Return whether this file is no part of the app."""
    return _FOREIGN.search(path) is not None
