"""Output: prints what ``provision`` and ``init`` have made, or writes it to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from ..errors import SettingsError
from ..text import printable
from .output_folder import carry_out, plan_files

__all__ = ["print_files", "print_headed", "write_files"]


def write_files(
    files: Mapping[str, str], folder: Path, *, force: bool, command: str = "provision"
) -> None:
    """Write the files, and list them; nothing if one would replace what others have made.

    ``command`` is the one that has made them.
    """
    _check_anything(files)
    planned = plan_files(files, folder)
    others = [str(file.path) for file in planned if file.verb == "not ours"]
    for file in planned:
        click.echo(printable(str(file)))
    if others and not force:
        raise SettingsError(
            f"nothing was written, since `event-monitor {command}` has not made "
            f"{', '.join(others)}: choose another --out, or overwrite with --force."
        )
    carry_out(planned, folder)


def print_files(files: Mapping[str, str]) -> None:
    """Print the only piece, with what pieces share; versions are for a folder of its own."""
    from ..provision.render.terraform import SHARED_FILES

    shared = [files[name] for name in SHARED_FILES if name in files and name != "versions.tf"]
    pieces = [name for name in files if name not in SHARED_FILES]
    if len(pieces) > 1:
        raise SettingsError(
            f"this makes {len(pieces)} files ({', '.join(pieces)}): choose a folder with "
            "--out DIR, or ask for one piece."
        )
    _check_anything(files)
    click.echo("\n".join([*shared, files[pieces[0]]]), nl=False)


def print_headed(files: Mapping[str, str]) -> None:
    """Print the files, each after a line with its name if there are several."""
    for name, text in files.items():
        heading = f"# ==> {name}\n" if len(files) > 1 else ""
        click.echo(f"{heading}{text}", nl=len(files) > 1)


def _check_anything(files: Mapping[str, str]) -> None:
    if not files:
        raise SettingsError(
            "there is nothing to write: these settings publish nothing that it needs."
        )
