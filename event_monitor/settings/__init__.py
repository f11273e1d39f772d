"""Settings: everything a user can choose, read from its sources and validated once."""

from __future__ import annotations

from .options import Option, options
from .settings import Settings, interval_of
from .sources import ENV_PREFIX, Source, conf_of, use_broker

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
