"""Settings: everything a user can choose, read from its sources and validated once."""

from __future__ import annotations

from .settings import (
    ENV_PREFIX,
    Option,
    Settings,
    Source,
    conf_of,
    interval_of,
    options,
    use_broker,
)

__all__ = [
    "ENV_PREFIX",
    "Option",
    "Settings",
    "Source",
    "conf_of",
    "interval_of",
    "options",
    "use_broker",
]
