"""systemd: a unit that runs the monitor where the app is installed already. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from ..errors import SettingsError
from ..text import printable
from .container import stop_seconds
from .monitor import Monitor, PlatformFiles, secrets_file, template, with_state

__all__ = ["systemd_files"]

_STATE = PurePosixPath("/var/lib")  # where systemd makes a StateDirectory
_HOMES = tuple(map(PurePosixPath, ("/home", "/root", "/run/user")))


def systemd_files(monitor: Monitor, *, program: tuple[str, ...]) -> PlatformFiles:
    """Return the unit, and the file of secrets.

    ``program`` is the command ``event-monitor`` by its whole path. Raises ``SettingsError`` for a
    path that a unit cannot hold.
    """
    monitor = with_state(monitor)
    settings, name = monitor.settings, f"{monitor.name}.service"
    state = PurePosixPath(settings.state_dir)
    if _STATE not in state.parents or " " in settings.state_dir:
        raise SettingsError(
            f"state_dir is {printable(settings.state_dir)!r}; systemd makes it in {_STATE}, "
            "without spaces in its name."
        )
    project = str(monitor.project.absolute())
    at_home = [path for path in (program[0], project) if _is_at_home(path)]
    unit = template(
        "event-monitor.service",
        of_app=f" of {monitor.app}" if monitor.app else "",
        run=" ".join(map(_argument, (*program, "run"))),
        stop=stop_seconds(settings),
        directory=f"WorkingDirectory={_path(project)}\n" if monitor.app else "",
        secrets=monitor.secrets_file,
        variables="\n".join(_environment(monitor.variables)),
        identity=_identity(monitor.name, settings.state_group),
        state=_path(str(state.relative_to(_STATE))),
        protect_home="read-only" if at_home else "yes",
    )
    return PlatformFiles(
        {name: unit, monitor.secrets_file: secrets_file(monitor)},
        (
            *(f"the unit's user has to be able to read {path}." for path in at_home),
            *_group_notes(monitor.name, settings.state_group),
            f"fill in {monitor.secrets_file}, then, as root: "
            f"install -m 600 {monitor.secrets_file} /etc/ && "
            f"install -m 644 {name} /etc/systemd/system/ && systemctl daemon-reload && "
            f"systemctl enable --now {monitor.name}",
        ),
    )


def _is_at_home(path: str) -> bool:
    return any(home in PurePosixPath(path).parents for home in _HOMES)


def _identity(name: str, group: str) -> str:
    """Return whom it runs as: a user made for it, unless others of a group read its state.

    systemd keeps the state of a user that it makes where nobody else can get at it.
    """
    if not group:
        return "DynamicUser=yes"
    return f"User={name}\nSupplementaryGroups={_path(group)}"


def _group_notes(name: str, group: str) -> tuple[str, ...]:
    if not group:
        return ()
    return (f"make its user first: useradd --system --user-group {name}",)


def _environment(variables: Mapping[str, str]) -> list[str]:
    return [f"Environment={_word(f'{name}={value}')}" for name, value in variables.items()]


def _word(text: str) -> str:
    """Return text as one word of a unit, in which % begins a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _argument(text: str) -> str:
    return f'"{_path(text)}"' if " " in text else _path(text)


def _path(path: str) -> str:
    if not path.isprintable() or path != path.strip() or set(path) & set("\"'\\$;"):
        raise SettingsError(
            f"{printable(path)!r} cannot stand in a unit: use a path without quotes, \\, $ and ;."
        )
    return path.replace("%", "%%")
