"""Objectives: how service levels are written, and what is refused."""

from __future__ import annotations

import pytest

from event_monitor.settings import Settings, text_of
from event_monitor.settings.objectives import Objective

from .mistakes import mistake


def objectives(text: object) -> tuple[Objective, ...]:
    return Settings.load(environ={}, flags={"slo": text}).objectives


def test_two_kinds_of_levels_can_be_written() -> None:
    """As a person says them."""
    assert objectives("pay: 99 % start in 30 s, queue mail: 99.5 % succeed") == (
        Objective("pay", "", 99.0, 30.0),
        Objective("mail", "queue", 99.5, None),
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("a:99%start in 5", 5.0),
        ("  a  :  99.0 %  start  in  0.5 s ", 0.5),
        ("a: 99 % start in 2m", 120.0),
        ("a: 99 % start in 1 h", 3_600.0),
    ],
)
def test_spaces_and_units_are_free(text: str, seconds: float) -> None:
    """Without a unit it is seconds."""
    assert objectives(text) == (Objective("a", "", 99.0, seconds),)


def test_what_is_written_can_be_read_back() -> None:
    """The command `settings` prints it for the next file."""
    settings = Settings.load(
        environ={}, flags={"slo": "task a.*: 99.95% start in 1.5m,queue b: 50% succeed"}
    )
    text = text_of(settings.slo)
    assert text == "task a.*: 99.95 % start in 90 s,queue b: 50 % succeed"
    assert Settings.load(environ={"EVENT_MONITOR_SLO": text}) == settings


def test_a_list_can_be_given_in_the_configuration_of_celery() -> None:
    """As the other lists."""
    levels = ["a: 99 % succeed", "a: 99 % start in 1 s"]
    assert len(Settings.load(environ={}, conf={"slo": levels}).objectives) == 2


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("pay", "'pay' is neither `NAME: PERCENT % start in SECONDS s` nor"),
        ("pay: 99 %", "is neither"),
        ("pay: 99 % ends in 5 s", "is neither"),
        ("pay: 99 % start in 5 days", "is neither"),
        (": 99 % succeed", "is neither"),
        ("x" * 201 + ": 99 % succeed", "is neither"),
        ("pay: 100 % succeed", "asks for 100 %; say a level from 1 to below 100 %"),
        ("pay: 0.5 % succeed", "asks for 0.5 %"),
        ("pay: 99 % start in 0 s", "needs a time above 0"),
        ("pay: 99 % start in 169 h", "at most a week"),
        ("a: 9 % succeed, a: 99 % succeed", "there are two of 'a succeed'"),
        (",".join(f"t{n}: 9 % succeed" for n in range(51)), "there are 51; at most 50"),
        ([5], "5 is not text"),
    ],
)
def test_what_is_no_level_is_refused_in_one_sentence(text: object, detail: str) -> None:
    """With what to write instead."""
    assert detail in mistake(conf={"slo": text})


@pytest.mark.parametrize(
    ("target", "of", "covered"),
    [
        ("pay", "", {("pay", "q"), ("mail", "pay")}),
        ("pay", "task", {("pay", "q")}),
        ("pay", "queue", {("mail", "pay")}),
        ("*", "", {("pay", "q"), ("mail", "pay"), ("x", "y")}),
    ],
)
def test_a_target_is_a_task_or_a_queue(target: str, of: str, covered: set[tuple[str, str]]) -> None:
    """Of either kind, unless it is said which."""
    objective = Objective(target, of, 99.0, None)  # type: ignore[arg-type]
    pairs = {("pay", "q"), ("mail", "pay"), ("x", "y")}
    assert {pair for pair in pairs if objective.covers(*pair)} == covered
