"""Options: the settings as the command line and the documentation show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from .parsers import text_of
from .settings import Settings
from .sources import ENV_PREFIX

__all__ = ["Option", "options"]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its names, its rule in words, its meaning and its default.

    ``shown`` masks its value if that may hold a password.
    """

    name: str
    flag: str
    environ: str
    placeholder: str
    allowed: str
    help: str
    default: object
    shown: Callable[[str], str] | None

    @property
    def default_text(self) -> str:
        """Return the default as it would be written; empty when there is none."""
        return text_of(self.default)


def options() -> tuple[Option, ...]:
    """Return every setting, in the order of the documentation."""
    return tuple(
        Option(
            name=field.name,
            flag="--" + field.name.replace("_", "-"),
            environ=ENV_PREFIX + field.name.upper(),
            placeholder=field.metadata["parser"].placeholder,
            allowed=field.metadata["parser"].allowed,
            help=field.metadata["help"],
            default=field.default,
            shown=field.metadata["parser"].shown,
        )
        for field in fields(Settings)
    )
