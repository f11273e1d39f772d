"""Did you mean: the known name that a misspelt one may stand for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'interval'?)``, or nothing when no known name is similar."""
    import difflib  # only a mistake needs it, and the command line must start fast

    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), by_lower, n=1)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""
