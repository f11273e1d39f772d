"""Machine: what the numbers were measured on, in a few lines of text."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .subject import OTHER_CORES, SUBJECT_CORE

_PACKAGES = ("celery", "kombu", "amqp", "redis", "hiredis", "msgspec", "boto3", "flower")


def description() -> str:
    """Return date, machine and versions."""
    load = " ".join(f"{average:.2f}" for average in os.getloadavg())
    pinned = f"consumers on core {SUBJECT_CORE}, all else on {sorted(OTHER_CORES)}"
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return "\n".join(
        (
            f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, load average before: {load}",
            f"{os.cpu_count()} cores, {_cpu()}, {platform.system()} {platform.release()}; {pinned}",
            f"Python {platform.python_version()}, {packages}",
            f"Redis {_redis()}, RabbitMQ {_rabbitmq()}",
        )
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()


def _redis() -> str:
    executable = shutil.which("redis-server")
    if executable is None:
        return "not installed"
    shown = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\S+)", shown.stdout)
    return found[1] if found else "unknown"


def _rabbitmq() -> str:
    """Read it from its library's folder; asking the server's script would boot an Erlang."""
    libraries = Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_*")
    found = [library.name.partition("-")[2] for library in libraries]
    return found[0] if found else "unknown"
