"""Terraform: runs it in a folder, with a provider from this machine if there is one.

A folder of plug-ins, laid out as HOST/NAMESPACE/TYPE/VERSION/PLATFORM, is named by the variable
``TERRAFORM_PLUGINS``, or found where Terraform itself and people put them. Without one, the
provider comes by network; a test is skipped where that, or Terraform, is absent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["initialize", "terraform"]

_VARIABLE = "TERRAFORM_PLUGINS"
_CONFIGURATION = "TF_CLI_CONFIG_FILE"
_PROVIDER = "*/hashicorp/aws/*/*"


def terraform(
    folder: Path, *arguments: str, timeout: float = 200
) -> subprocess.CompletedProcess[str]:
    """Run it there; skip the test where it is not installed."""
    executable = shutil.which("terraform")
    if executable is None:
        pytest.skip("terraform is not installed")
    environ = {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    if not Path(environ.get(_CONFIGURATION, "")).is_file():
        environ[_CONFIGURATION] = str(_configuration(folder))
    return subprocess.run(
        [executable, *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def initialize(folder: Path) -> None:
    """Get the AWS provider; skip the test if it cannot be had."""
    try:
        run = terraform(folder, "init", "-input=false", "-no-color", timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("terraform cannot fetch the AWS provider: no answer")
    if run.returncode and _plugins() is None:
        pytest.skip(f"terraform cannot fetch the AWS provider: {run.stderr.strip()[:500]}")
    assert run.returncode == 0, run.stderr


def _configuration(folder: Path) -> Path:
    """Write Terraform's own configuration, which names the plug-ins if there are any."""
    plugins = _plugins()
    text = ""
    if plugins is not None:
        path = json.dumps(str(plugins))
        text = f"provider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"
    file = folder.parent / "terraform.rc"
    file.write_text(text)
    return file


def _plugins() -> Path | None:
    """Return the first folder with an AWS provider in it."""
    return next((folder for folder in _candidates() if any(folder.glob(_PROVIDER))), None)


def _candidates() -> Iterator[Path]:
    if named := os.environ.get(_VARIABLE):
        yield Path(named)
        return
    home = Path.home()
    data = (os.environ.get("XDG_DATA_HOME") or home / ".local/share", "/usr/local/share")
    yield home / ".terraform.d/plugins"
    for place in (*data, "/usr/share"):
        yield Path(place) / "terraform/plugins"
    yield from sorted(Path("/opt").glob("*"))
