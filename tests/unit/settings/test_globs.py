"""Globs: what they match, what they leave out, and what is none."""

from __future__ import annotations

import pytest

from event_monitor.metrics import label_for
from event_monitor.settings import Only, Settings, matches

from .mistakes import mistake


@pytest.mark.parametrize(
    ("globs", "matching"),
    [
        ((), set()),
        (("shop.*",), {"shop.pay", "shop.poll"}),
        (("!celery.*",), {"shop.pay", "shop.poll", "mail.send"}),
        (("!celery.*", "!mail.*"), {"shop.pay", "shop.poll"}),
        (("shop.*", "!shop.poll"), {"shop.pay"}),
        (("!shop.poll", "shop.*"), {"shop.pay"}),
        (("[!s]*",), {"mail.send", "celery.chord"}),
    ],
)
def test_what_globs_match(globs: tuple[str, ...], matching: set[str]) -> None:
    """One that begins with `!` takes out, wherever it stands; alone it leaves everything else."""
    names = ("shop.pay", "shop.poll", "mail.send", "celery.chord")
    assert {name for name in names if matches(name, globs)} == matching


def test_filters_of_series_take_negative_globs() -> None:
    """All but those of Celery have series of their own."""
    settings = Settings.load(environ={"EVENT_MONITOR_INCLUDE_TASKS": "!celery.*"})
    assert label_for("shop.pay", settings) == "shop.pay"
    assert label_for("celery.chord_unlock", settings) is None


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        ("[shop", "'[shop' has a `[` that is never closed"),
        ("!", "'!' has nothing after the `!`"),
        ("!!shop", "'!!shop' has more than one `!`"),
    ],
)
@pytest.mark.parametrize("setting", ["only_tasks", "only_queues", "only_workers", "exclude_tasks"])
def test_a_bad_glob_is_told_in_one_sentence(setting: str, glob: str, problem: str) -> None:
    """It would match nothing, or not what was meant."""
    assert mistake(flags={setting: f"mail.*,{glob}"}) == (
        f"--{setting.replace('_', '-')} is 'mail.*,{glob}'; it must be names or globs separated by "
        f"commas, `!` before what to leave out: {problem}."
    )


def test_a_bad_glob_of_a_group_is_told_too() -> None:
    """Groups have globs, several of them."""
    assert mistake(flags={"groups": "rest=shop.*|[mail"}).endswith(
        ": '[mail' has a `[` that is never closed."
    )


def test_what_belongs_to_a_service() -> None:
    """By each of its globs; what is not known is called unknown."""
    only = Only(tasks=("shop.*",), queues=("shop", "shop-low"), workers=("shop-*",))
    assert [only.has_task(name) for name in ("shop.pay", "mail.send", None)] == [True, False, False]
    assert [only.has_queue(name) for name in ("shop", "mail", None)] == [True, False, False]
    assert [only.has_node(name) for name in ("shop-1@h", "mail-1@h")] == [True, False]
    assert Only(tasks=("!celery.*",)).has_task(None)


def test_a_worker_belongs_that_reads_one_of_the_queues() -> None:
    """Of one that never said what it reads it is not known, so it is left out."""
    only = Only(queues=("shop",))
    reads = [("shop",), ("mail", "shop"), ("mail",), (), None]
    assert [only.has_worker("w@h", queues) for queues in reads] == [True, True, False, False, False]
    assert Only(tasks=("shop.*",)).has_worker("w@h", None)


def test_a_task_of_one_of_several_queues_belongs_if_it_does_whichever_it_was() -> None:
    """Where that differs its queue is unknown."""
    only, complement = Only(queues=("shop*",)), Only(queues=("!shop*",))
    whences = ["shop", ("shop", "shop-low"), ("shop", "mail"), ("mail", "post"), (), None]
    assert [only.has_whence(whence) for whence in whences] == [
        *(True, True, False, False, False, False)
    ]
    assert [complement.has_whence(whence) for whence in whences] == [
        *(False, False, True, True, True, True)
    ]
