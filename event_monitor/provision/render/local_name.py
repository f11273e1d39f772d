"""Local name: what Terraform and CloudFormation call a resource among themselves. Pure."""

from __future__ import annotations

import hashlib
import re

__all__ = ["local_name", "logical_id"]

_MAX_CHARACTERS = 80  # of what is readable in it


def local_name(name: str) -> str:
    """Return an identifier of lower-case words joined by ``_``, the same for no two names.

    ``name`` begins with a lower-case letter. What is more than words joined by ``-`` ends in a
    digest, since others may look the same without what is left out.
    """
    words = _words(name)
    if _is_plain(name, word="[a-z0-9]+"):
        return "_".join(words)
    return "_".join([*words, _digest(name)])


def logical_id(name: str) -> str:
    """Return the same in letters and digits: capitalized words."""
    text = "".join(word.capitalize() for word in _words(name))
    return text if _is_plain(name, word="[a-z]+") else f"{text}X{_digest(name)}"


def _is_plain(name: str, *, word: str) -> bool:
    return len(name) <= _MAX_CHARACTERS and bool(re.fullmatch(f"{word}(-{word})*", name))


def _words(name: str) -> list[str]:
    """Return the words that are readable in the name, as far as they are not too many."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return "_".join(words)[:_MAX_CHARACTERS].strip("_").split("_")


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
