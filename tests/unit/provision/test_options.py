"""Options: what a person may ask for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.options import (
    ProvisionOptions,
    QueueLimits,
    parse_queue_limits,
    parse_task_limits,
)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ProvisionOptions(prefix="a b"), "--prefix is 'a b'; it must be 1 to 40"),
        (lambda: ProvisionOptions(topics=("mail",)), "--topic is 'mail'; it must be an ARN"),
        (lambda: ProvisionOptions(pages=("arn:aws:sns:a:1:b",) * 6), "--page is given 6 times"),
        (
            lambda: ProvisionOptions(workers_from=3, workers_to=2),
            "--workers-from is 3 and --workers-to 2",
        ),
        (lambda: ProvisionOptions(backlog=0.0), "--backlog is 0; it must be more than 0"),
        (
            lambda: ProvisionOptions(queues=(QueueLimits("a"), QueueLimits("a"))),
            "--queue a is given twice",
        ),
        (lambda: parse_task_limits("shop.pay"), "say what to watch: shop.pay:p95=SECONDS"),
        (lambda: parse_task_limits("shop.pay:p99=3"), "not 'p99' .did you mean 'p95'"),
        (lambda: parse_queue_limits("mail:max_age=soon"), "max_age must be a number above 0"),
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
    assert parse_queue_limits("a:b:max_age=5") == QueueLimits("a:b", max_age=5.0)
