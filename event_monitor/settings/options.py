"""Options: the settings as the command line and the documentation show them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .parsers import text_of
from .settings import Settings
from .sources import ENV_PREFIX

__all__ = ["Option", "options"]


@dataclass(frozen=True, slots=True)
class Option:
    """A setting as the command line and the documentation show it."""

    name: str
    flag: str
    environ: str
    placeholder: str
    allowed: str
    help: str
    default: Any

    @property
    def default_text(self) -> str:
        """The default as it would be written; empty when there is none."""
        return text_of(self.default)


def options() -> tuple[Option, ...]:
    """Every setting, in the order of the documentation."""
    return tuple(
        Option(
            name=one.name,
            flag="--" + one.name.replace("_", "-"),
            environ=ENV_PREFIX + one.name.upper(),
            placeholder=one.metadata["kind"].placeholder,
            allowed=one.metadata["kind"].allowed,
            help=one.metadata["help"],
            default=one.default,
        )
        for one in fields(Settings)
    )
