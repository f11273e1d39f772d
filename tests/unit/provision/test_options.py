"""Options: what a person may ask for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.options import (
    ProvisionOptions,
    QueueLimits,
    TaskLimits,
    parse_queue_limits,
    parse_scale,
    parse_task_limits,
    prefix_of,
)
from event_monitor.provision.quantities import TooMany, parse_too_many, shown_seconds


@pytest.mark.parametrize(
    ("namespace", "prefix"),
    [
        ("Celery", "celery"),
        ("Shop", "shop"),
        ("Team A/Shop #1", "team-a-shop-1"),
        ("1st", "st"),
        ("42", "celery"),
        ("S" * 255, "s" * 40),
    ],
)
def test_a_namespace_gives_a_prefix_that_is_allowed(namespace: str, prefix: str) -> None:
    assert prefix_of(namespace) == prefix
    assert ProvisionOptions(prefix=prefix).prefix == prefix


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ProvisionOptions(prefix="a b"), "--prefix is 'a b'; it must be 1 to 40"),
        (lambda: ProvisionOptions(topics=("mail",)), "--topic is 'mail'; it must be an ARN"),
        (
            lambda: ProvisionOptions(
                topics=("arn:aws:sns:a:1:a",),
                pages=tuple(f"arn:aws:sns:a:1:b{number}" for number in range(5)),
            ),
            "--topic and --page name more than five ARNs",
        ),
        (lambda: ProvisionOptions(page_url="monitor"), "--page-url is 'monitor'; it must be a URL"),
        (
            lambda: ProvisionOptions(page_url="https://me:secret@h/"),
            "it must be a URL such as .* without a password",
        ),
        (
            lambda: ProvisionOptions(workers_from=3, workers_to=2),
            "--workers-from is 3 and --workers-to 2",
        ),
        (lambda: ProvisionOptions(backlog=0.0), "--backlog is 0; it must be more than 0"),
        (
            lambda: ProvisionOptions(queues=(QueueLimits("a"), QueueLimits("a"))),
            "--queue a is given twice",
        ),
        (
            lambda: ProvisionOptions(services=(("a", "w"),), scale_queue="a"),
            "--scale and --scale-queue exclude each other",
        ),
        (
            lambda: ProvisionOptions(services=(("a", "w"), ("b", "w"))),
            "--scale gives the service w to a and b: scale it by one queue",
        ),
        (
            lambda: ProvisionOptions(services=(("a", "w"), ("a", "v"))),
            "--scale a is given twice; one service reads it",
        ),
        (lambda: parse_scale("mail=a b"), "--scale is 'mail=a b'; it must be QUEUE=SERVICE"),
        (lambda: parse_task_limits("shop.pay"), "say what to watch: shop.pay:p95=SECONDS"),
        (lambda: parse_task_limits("shop.pay:p99=3"), "not 'p99' .did you mean 'p95'"),
        (
            lambda: parse_queue_limits("mail:max_age=soon"),
            "max_age of --queue .* is .soon.; say a time above 0",
        ),
        (lambda: parse_queue_limits(":max_age=1"), "it must begin with a name"),
    ],
)
def test_a_wrong_option_gets_one_clear_sentence(make: Callable[[], object], sentence: str) -> None:
    """It names flag and value."""
    with pytest.raises(SettingsError, match=sentence):
        make()


def test_a_name_may_have_colons_of_its_own() -> None:
    """Only what follows the last one, and has an equals sign, are limits."""
    assert parse_queue_limits("a:b") == QueueLimits("a:b")
    assert parse_scale("a=b=workers") == ("a=b", "workers")
    assert parse_queue_limits("a:b:max_age=5") == QueueLimits("a:b", max_age=5.0)


def test_durations_and_what_is_too_many_are_written_as_people_do() -> None:
    """A plain number is seconds, or percent."""
    assert parse_queue_limits("mail:max_age=5m,max_length=10,workers=2") == QueueLimits(
        "mail", max_length=10.0, max_age=300.0, workers=2.0
    )
    assert parse_task_limits("pay:p95=1.5,running=1h,failures=3/15m,retries=50%") == TaskLimits(
        "pay", p95=1.5, failures=TooMany(3.0, 900), retries=TooMany(50.0), running=3_600.0
    )


@pytest.mark.parametrize("text", ["many", "-1", "5/", "5/soon", "/5m", "nan", "inf", "5%/5m", ""])
def test_what_is_no_limit_of_failures_is_refused(text: str) -> None:
    """With both ways to say it."""
    with pytest.raises(SettingsError, match="say a percentage such as 5, or a count such as 5/10m"):
        parse_too_many("--max-failures", text)


@pytest.mark.parametrize("text", ["5/30s", "5/90s", "5/2d", "5/0m"])
def test_failures_are_counted_over_whole_minutes(text: str) -> None:
    """CloudWatch has no other periods."""
    with pytest.raises(SettingsError, match="count over whole minutes, at most a day"):
        parse_too_many("--max-failures", text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (5_400, "90 minutes"),
        (7_200, "2 hours"),
    ],
)
def test_durations_are_said_in_words(seconds: float, said: str) -> None:
    assert shown_seconds(seconds) == said
