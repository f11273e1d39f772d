"""Docker: an image of the app with the monitor, and a Compose file that runs it.

Looks into the project's folder for what pip can install; writes nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

from ..provision.inputs import USER
from ..provision.task_definition import HEALTH_CHECK as ECS_CHECK
from .container import (
    container_notes,
    exec_form,
    quoted,
    require_mountable,
    stop_seconds,
    yaml_map,
)
from .monitor import (
    DEFAULT_NAME,
    HEALTH_CHECK,
    RUN,
    Monitor,
    PlatformFiles,
    secrets_file,
    template,
    with_state,
)

__all__ = ["docker_files"]

_PACKAGE = "celery-event-monitor"
_BUILD_SYSTEM = re.compile(r"^\[build-system\]", re.MULTILINE)
_MOST_CHARACTERS = 1_000_000  # of a pyproject.toml
#: What belongs into no image, where the project has no list of its own.
_IGNORED = (".git", "**/*.env", "**/.env*", "**/.venv", "**/__pycache__", "**/*.sqlite3*")


def docker_files(monitor: Monitor) -> PlatformFiles:
    """Return Dockerfile, compose.yaml and the file of secrets.

    Raises ``SettingsError`` for settings that a container cannot have.
    """
    monitor = with_state(monitor)
    require_mountable(monitor.settings)
    install, notes = _install(monitor)
    variables = dict(monitor.variables)
    app = variables.pop("EVENT_MONITOR_APP", "")
    files = {
        "Dockerfile": template(
            "Dockerfile",
            title=f"The app {app} with its monitor." if app else "The monitor.",
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            install=install,
            make_state=exec_form(
                ("install", "-d", "-o", f"{USER}", "-g", f"{USER}", monitor.settings.state_dir)
            ),
            user=USER,
            environment=f"ENV EVENT_MONITOR_APP={app}\n" if app else "",
            interval=ECS_CHECK["interval"],
            timeout=ECS_CHECK["timeout"],
            start=ECS_CHECK["startPeriod"],
            retries=ECS_CHECK["retries"],
            health_check=exec_form(HEALTH_CHECK),
            run=exec_form(RUN),
        ),
        "compose.yaml": _compose(monitor, variables),
        monitor.secrets_file: secrets_file(monitor),
    }
    if app and not (monitor.project / ".dockerignore").exists():
        files["Dockerfile.dockerignore"] = "\n".join(_IGNORED) + "\n"
    return PlatformFiles(
        files,
        (
            *notes,
            *container_notes(monitor),
            f"fill in {monitor.secrets_file}, then: docker compose up --build -d",
        ),
    )


def _compose(monitor: Monitor, variables: dict[str, str]) -> str:
    out = monitor.out.absolute()
    context = Path(os.path.relpath(_context(monitor), out))
    dockerfile = os.path.relpath(out / "Dockerfile", out / context)
    port = monitor.port
    return template(
        "compose.yaml",
        # Without a name Compose takes that of the folder.
        project="" if monitor.name == DEFAULT_NAME else f"name: {quoted(monitor.name)}\n",
        secrets=quoted(monitor.secrets_file),
        context=_path(str(context)),
        dockerfile=_path(dockerfile),
        variables=yaml_map(variables, indent=6),
        state_dir=_path(monitor.settings.state_dir),
        ports="" if port is None else f'    ports:\n      - "127.0.0.1:{port}:{port}"\n',
        stop=stop_seconds(monitor.settings),
    )


def _context(monitor: Monitor) -> Path:
    """Return the folder that is sent to Docker: the project's, where an app is copied."""
    return (monitor.project if monitor.app else monitor.out).absolute()


def _path(path: str) -> str:
    return quoted(path.replace("$", "$$"))


def _install(monitor: Monitor) -> tuple[str, tuple[str, ...]]:
    """Return the lines that install app and monitor, and what is left to do."""
    copied, ours, notes = _ours(monitor)
    if not monitor.app:
        return f"{copied}{_pip(ours)}", notes
    if (monitor.project / "requirements.txt").is_file():
        pip = _pip("-r", "requirements.txt", ours)
        return f"COPY requirements.txt ./\n{copied}{pip}\nCOPY . .", notes
    if _is_built(monitor.project / "pyproject.toml"):
        return f"{copied}COPY . .\n{_pip('.', ours)}", notes
    return (
        f"{copied}{_pip(ours)}\nCOPY . .",
        (
            *notes,
            "there is no requirements.txt here: add what the app needs to the line with pip.",
        ),
    )


def _ours(monitor: Monitor) -> tuple[str, str, tuple[str, ...]]:
    """Return the line that copies this package, if any, what pip installs, and what is left to do.

    The extra is for the page: the settings of the app may say `http`.
    """
    wheel = monitor.package.wheel
    if not wheel:
        return "", f"{_PACKAGE}[web]", ()
    beside = os.path.relpath(monitor.out.absolute() / wheel, _context(monitor))
    source = shlex.quote(monitor.package.source or "path/to/its/clone")
    how = f"pip wheel --no-deps -w {shlex.quote(str(monitor.out))} {source}"
    return (
        f"COPY {exec_form((beside, '/wheels/'))}\n",
        f"/wheels/{wheel}[web]",
        (f"{wheel} has to be beside the Dockerfile: {how}",),
    )


def _pip(*wanted: str) -> str:
    return f"RUN {exec_form(('pip', 'install', '--no-cache-dir', *wanted))}"


def _is_built(path: Path) -> bool:
    """Return whether pip can install the project by its pyproject.toml."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return bool(_BUILD_SYSTEM.search(file.read(_MOST_CHARACTERS)))
    except OSError:
        return False
