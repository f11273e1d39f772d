"""Documentation: the reference says what the code does, because the code wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.cli.documentation import (
    REFERENCE,
    cost_markdown,
    main,
    metrics_markdown,
    rewritten,
    settings_markdown,
    settings_text,
)
from event_monitor.provision.task_definition import HEALTH_CHECK
from event_monitor.settings import Settings, options
from event_monitor.sinks.permission import put_metric_data_statement

from .terminal import typed

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
DOCUMENTS = {path: path.read_text(encoding="utf-8") for path in (README, REFERENCE)}


def test_the_reference_holds_the_generated_tables() -> None:
    """A metric or a setting cannot change without its line in the reference."""
    text = DOCUMENTS[REFERENCE]

    assert text == rewritten(text), "run: python -m event_monitor.cli.documentation"


@pytest.mark.parametrize(
    ("command", "table"), [("metrics", metrics_markdown), ("settings", settings_markdown)]
)
def test_a_command_prints_its_chapter_of_the_reference(
    command: str, table: Callable[[], str]
) -> None:
    """What is said around the table too, and nothing of the next chapter."""
    # When
    printed = typed(command, "--format", "markdown").output

    # Then
    before, _, after = printed.partition(table())
    assert before.rstrip() in DOCUMENTS[REFERENCE]
    assert before.strip()
    assert after == "\n"
    assert "<!--" not in printed


def test_the_sum_in_the_readme_is_the_one_of_the_reference() -> None:
    """A price cannot change in one of them only."""
    about = re.search(r"\| the defaults \|.*\| (about \$\d+ a month) \|", cost_markdown())

    assert about
    assert about[1] in DOCUMENTS[README]


def test_every_metric_and_every_setting_has_its_row() -> None:
    """One line each."""
    for spec in CATALOG:
        assert f"| `{spec.name}` | {spec.unit} |" in metrics_markdown()
    for option in options():
        assert f"| `{option.name}` |" in settings_markdown()


def test_main_rewrites_between_the_markers_only(tmp_path: Path) -> None:
    """What a person wrote around the tables stays."""
    # Given
    document = tmp_path / "reference.md"
    document.write_text(
        "# Before\n<!-- metrics -->\nold\n<!-- /metrics -->\nbetween\n"
        "<!-- settings --><!-- /settings -->\nafter\n<!-- cost --><!-- /cost -->"
    )

    # When
    code = main([str(document)])

    # Then
    assert code == 0
    assert document.read_text() == (
        f"# Before\n<!-- metrics -->\n{metrics_markdown()}\n<!-- /metrics -->\nbetween\n"
        f"<!-- settings -->\n{settings_markdown()}\n<!-- /settings -->\nafter\n"
        f"<!-- cost -->\n{cost_markdown()}\n<!-- /cost -->"
    )


def test_main_refuses_a_document_without_markers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which marker is missing, and changes nothing."""
    document = tmp_path / "reference.md"
    document.write_text("nothing here")

    assert main([str(document)]) == 1
    assert document.read_text() == "nothing here"
    assert capsys.readouterr().err == (
        f"{document}: there is no <!-- metrics --> … <!-- /metrics -->\n"
    )


def test_a_password_in_a_url_is_not_shown() -> None:
    """`event-monitor settings` ends up in tickets and logs."""
    settings, sources = Settings.load_with_sources(
        flags={"management_url": "http://user:secret@host:15672"}, environ={}, conf={}
    )
    shown = settings_text(settings, sources, width=200)
    assert "http://user:**@host:15672" in shown
    assert "secret" not in shown


def test_the_permission_and_the_health_check_are_those_that_are_provisioned() -> None:
    """Each is written once in the code; the documents' copies must not drift."""
    permission, health_check = (
        re.findall(r"```json\n(.*?)```", text, re.DOTALL) for text in DOCUMENTS.values()
    )
    assert [json.loads(block) for block in permission] == [put_metric_data_statement("Celery")]
    assert [json.loads(f"{{{block}}}") for block in health_check] == [{"healthCheck": HEALTH_CHECK}]


def test_the_readme_is_one_page() -> None:
    """What a newcomer has to read; all else is behind it."""
    page, heading, _ = DOCUMENTS[README].partition("\n## Reference\n")

    assert heading
    assert len(page.splitlines()) <= 200


def test_the_readme_shows_the_procfile() -> None:
    """Whoever installed a package has no such file."""
    assert f"```\n{(ROOT / 'Procfile').read_text()}```" in DOCUMENTS[README]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_documents_leads_somewhere(document: Path) -> None:
    """To a file, and to a heading of it if it names one."""
    for link in re.findall(r"\]\(([^)\s]+)\)", DOCUMENTS[document]):
        if not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            target = (document.parent / name).resolve() if name else document
            assert target.is_file(), link
            assert not anchor or anchor in _anchors(DOCUMENTS[target]), link


def _anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
