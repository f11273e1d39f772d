"""Output folder: nothing is written over what others have made."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.cli.output_folder import (
    MANIFEST,
    MARK_LINE,
    PlannedFile,
    carry_out,
    plan_files,
)
from event_monitor.errors import SettingsError

FILES = {"a.tf": "locals {}\n", "b.json": "{}\n"}


def written(folder: Path, files: dict[str, str]) -> dict[str, str]:
    """Write the files; return file name → what that did."""
    planned = plan_files(files, folder)
    carry_out(planned, folder)
    return verbs(planned)


def verbs(planned: tuple[PlannedFile, ...]) -> dict[str, str]:
    return {file.path.name: file.verb for file in planned}


def test_what_was_written_is_replaced_by_the_next_run(tmp_path: Path) -> None:
    """Terraform's files are known by their first line, JSON by its digest."""
    folder = tmp_path / "new" / "infra"

    assert written(folder, FILES) == {"a.tf": "create", "b.json": "create"}
    assert (folder / "a.tf").read_text().startswith(MARK_LINE)
    assert (folder / "b.json").read_text() == "{}\n"
    assert written(folder, FILES) == {"a.tf": "unchanged", "b.json": "unchanged"}
    changed = {"a.tf": "locals { }\n", "b.json": "[]\n"}
    assert written(folder, changed) == {"a.tf": "replace", "b.json": "replace"}
    assert (folder / "b.json").read_text() == "[]\n"


def test_what_another_run_wrote_stays_ours(tmp_path: Path) -> None:
    """Pieces may be written one after the other."""
    written(tmp_path, {"b.json": "{}\n"})
    written(tmp_path, {"c.json": "{}\n"})

    assert verbs(plan_files({"b.json": "1\n", "c.json": "1\n"}, tmp_path)) == {
        "b.json": "replace",
        "c.json": "replace",
    }


@pytest.mark.parametrize("name", list(FILES))
def test_files_of_others_are_not_ours(tmp_path: Path, name: str) -> None:
    """Nor is JSON of ours that was changed by hand; what is equal may be anybody's."""
    written(tmp_path, {"b.json": "{}\n"})
    (tmp_path / name).write_text("by hand")
    assert verbs(plan_files({name: FILES[name]}, tmp_path)) == {name: "not ours"}

    (tmp_path / "c.json").write_text("{}\n")
    assert verbs(plan_files({"c.json": "{}\n"}, tmp_path)) == {"c.json": "unchanged"}


def test_what_is_no_file_is_not_ours(tmp_path: Path) -> None:
    """A folder, or a link to nowhere."""
    (tmp_path / "a.tf").mkdir()
    (tmp_path / "b.json").symlink_to(tmp_path / "nowhere")

    assert set(verbs(plan_files(FILES, tmp_path)).values()) == {"not ours"}


@pytest.mark.parametrize("manifest", ["", "[]", '{"sha256": 1}', '{"sha256": {"b.json": 1}}', "\0"])
def test_a_damaged_manifest_makes_nothing_ours(tmp_path: Path, manifest: str) -> None:
    """It is written anew with the next file."""
    written(tmp_path, {"b.json": "{}\n"})
    (tmp_path / MANIFEST).write_text(manifest)

    assert verbs(plan_files({"b.json": "[]\n"}, tmp_path)) == {"b.json": "not ours"}
    written(tmp_path, {"b.json": "{}\n"})
    assert verbs(plan_files({"b.json": "[]\n"}, tmp_path)) == {"b.json": "replace"}


def test_a_folder_that_cannot_be_made_is_one_sentence() -> None:
    """Not a traceback."""
    folder = Path("/dev/null/x")
    with pytest.raises(SettingsError, match="--out /dev/null/x cannot be written to"):
        written(folder, FILES)
