"""Live: the cluster on a full screen in the terminal, for ``event-monitor top``.

Needs the extra ``top``; importing it without that raises ``ModuleNotFoundError``.
"""

from __future__ import annotations

from .app import Top
from .broker import Broker
from .either import Either
from .look import Look, Source
from .monitor import Monitor, NoMonitorError

__all__ = ["Broker", "Either", "Look", "Monitor", "NoMonitorError", "Source", "Top"]
