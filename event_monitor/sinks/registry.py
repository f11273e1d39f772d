"""Registry: from the setting `sink` to a sink, built in or of an installed package.

A sink of a package is an entry point in the group ``event_monitor.sinks``: a callable that takes
the ``Settings`` and, as the keyword ``clock``, a ``Clock``, and returns a ``Sink``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import EventMonitorError, SettingsError, UnavailableError
from ..settings import Settings
from ..settings.sinks import BUILT_IN_SINKS, plug_ins
from ..text import one_line
from .sink import Sink

__all__ = ["make_sink"]

# Where the built-in ones are; botocore is imported only with the sink that needs it.
_BUILT_IN = {
    "cloudwatch": ("cloudwatch", "CloudWatchSink"),
    "console": ("console", "ConsoleSink"),
    "emf": ("emf", "EmfSink"),
}
_METHODS = ("send", "check", "close")


def make_sink(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Sink:
    """Return the sink that the settings name.

    Raises ``UnavailableError`` or ``SettingsError`` when it can never work.
    """
    name = settings.sink
    if name in BUILT_IN_SINKS:
        module, factory = _BUILT_IN[name]
        made: Sink = getattr(import_module(f".{module}", __package__), factory)(
            settings, clock=clock
        )
        return made
    return _made_by_plug_in(name, settings, clock)


def _made_by_plug_in(name: str, settings: Settings, clock: Clock) -> Sink:
    found = plug_ins().get(name)
    if found is None:
        raise SettingsError(f"there is no sink {name!r}; is its package installed?")
    try:
        factory: Callable[..., Sink] = found.load()
        sink = factory(settings, clock=clock)
    except EventMonitorError:
        raise
    except Exception as error:
        raise UnavailableError(
            f"the sink {name!r} ({found.value}) cannot be made: "
            f"{type(error).__name__}: {one_line(error)}."
        ) from error
    missing = [method for method in _METHODS if not callable(getattr(sink, method, None))]
    if missing:
        raise UnavailableError(
            f"the sink {name!r} ({found.value}) has no {' or '.join(missing)}; "
            "event_monitor.Sink says what a sink can do."
        )
    return sink
