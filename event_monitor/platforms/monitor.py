"""Monitor: what is to be run, and its settings as variables. Pure.

What may hold a password is named here, and never written: the reader fills it in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path, PurePosixPath
from string import Template

from ..errors import SettingsError
from ..provision.task_definition import environment
from ..settings import Settings
from ..settings.web import address_of, is_loopback
from ..text import printable

__all__ = [
    "DEFAULT_NAME",
    "HEALTH_CHECK",
    "RUN",
    "Monitor",
    "Package",
    "PlatformFiles",
    "require_app",
    "require_name",
    "require_printable",
    "secrets_file",
    "template",
    "with_state",
]

RUN = ("event-monitor", "run")
HEALTH_CHECK = ("event-monitor", "healthcheck", "--monitor")
DEFAULT_NAME = "event-monitor"

_PART = r"[^\W\d]\w*"
_APP = re.compile(rf"{_PART}(\.{_PART})*(:{_PART}(\.{_PART})*)?")
# What Kubernetes, Compose, systemd and `--prefix` all take; a user's name has 31 characters.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,29}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BROKER, _MANAGEMENT_URL = "EVENT_MONITOR_BROKER", "EVENT_MONITOR_MANAGEMENT_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Where an image gets this package from: an index, unless it was installed from elsewhere.

    ``wheel`` is the name of the file that has to be beside the Dockerfile then, and ``source`` the
    folder that it is made from; empty if that is not known.
    """

    wheel: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """The monitor of one broker.

    ``app`` is as in ``celery -A``; empty where only a broker is known. ``name`` is what everything
    of it is called on the platform. ``project`` is the folder in which the app can be imported, and
    ``out`` the one that the files are for; ``package`` is where an image gets the monitor from.
    """

    app: str = ""
    name: str = DEFAULT_NAME
    settings: Settings = field(default_factory=Settings)
    project: Path = Path()
    out: Path = Path()
    package: Package = Package()

    @property
    def variables(self) -> dict[str, str]:
        """Return name → value of the variables that configure it, without secrets.

        Raises ``SettingsError`` where one cannot be written on a line of its own.
        """
        named = {"EVENT_MONITOR_APP": self.app, **environment(self.settings)}
        found = {**named, "AWS_REGION": self.settings.region}
        for name, value in found.items():
            require_printable(name, value)
        return {name: value for name, value in found.items() if value}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the variables that the reader fills in.

        Raises ``SettingsError`` where no variable can have the name that ``http_auth`` gives it.
        """
        scheme, _, variable = self.settings.http_auth.partition(":env:")
        needs_password = scheme in ("basic", "bearer") and bool(variable)
        if needs_password and not _VARIABLE.fullmatch(variable):
            raise SettingsError(
                f"http_auth reads the variable {printable(variable)!r}; use letters, digits and _."
            )
        return (
            _BROKER,
            *([_MANAGEMENT_URL] if self.settings.management_url else []),
            *([variable] if needs_password else []),
        )

    @property
    def secrets_file(self) -> str:
        """Return the name of the file that the reader writes the secrets into."""
        return f"{self.name}.env"

    @property
    def port(self) -> int | None:
        """Return the port at which other machines can reach its page; None if they cannot."""
        if not self.settings.http:
            return None
        address = address_of(self.settings.http)
        return None if is_loopback(address.host) else address.port


@dataclass(frozen=True, slots=True)
class PlatformFiles:
    """File name → text, and a sentence for each thing that is left to do."""

    files: dict[str, str]
    notes: tuple[str, ...] = ()


def require_app(name: str) -> None:
    """Raise ``SettingsError`` if no app can have that name; it is not imported."""
    if not _APP.fullmatch(name):
        raise SettingsError(
            f"-A is {printable(name)!r}; it must be the name of a module, such as proj, "
            "proj.celery or proj:app."
        )


def require_name(name: str) -> None:
    """Raise ``SettingsError`` if a platform would refuse to call something so."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"--name is {printable(name)!r}; it must be 1 to 31 small letters, digits and -, begin "
            "with a letter and not end with a -."
        )


def require_printable(name: str, value: str) -> None:
    """Raise ``SettingsError`` if a value would break a line, or the encoding of a file."""
    if not value.isprintable():
        raise SettingsError(
            f"{name} is {printable(value)!r}; what is written to a file must be printable."
        )


def with_state(monitor: Monitor) -> Monitor:
    """Return the monitor with a ``state_dir``, the only place that may be written to.

    Raises ``SettingsError`` where the settings name another one.
    """
    usual = f"/var/lib/{monitor.name}"
    chosen = replace(monitor.settings, state_dir=monitor.settings.state_dir or usual)
    place = PurePosixPath(chosen.state_dir)
    if not place.is_absolute() or ".." in place.parts or len(place.parts) < 3:
        raise SettingsError(
            f"state_dir is {printable(chosen.state_dir)!r}; it must be a whole path such as "
            f"{usual}."
        )
    if chosen.emf_file and place not in PurePosixPath(chosen.emf_file).parents:
        raise SettingsError(
            f"emf_file is {printable(chosen.emf_file)!r}; it must be in {place}, since nothing "
            "else can be written to."
        )
    return replace(monitor, settings=chosen)


def secrets_file(monitor: Monitor) -> str:
    """Return the text of the file that the reader writes the secrets into."""
    lines = []
    for name in monitor.secrets:
        if name == _BROKER:
            own = "; empty takes the app's own" if monitor.app else ""
            lines += [f"# The broker, such as redis://:password@host:6379/0{own}."]
            lines += ["# What is special in a password is percent-encoded."]
        elif name == _MANAGEMENT_URL:
            lines += ["# RabbitMQ's management API, such as http://user:password@host:15672."]
        else:
            lines += ["# Who may see the page: user:password, or a token."]
        lines += [f"{name}="]
    return template("event-monitor.env", secrets="\n".join(lines))


def template(name: str, /, **values: object) -> str:
    """Return the text of that template with these values in it."""
    text = files(__package__).joinpath("templates", f"{name}.template").read_text("utf-8")
    return Template(text).substitute(values)
