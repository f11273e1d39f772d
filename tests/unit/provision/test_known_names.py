"""Known names: a misspelt task or queue is refused where the app knows its own."""

from __future__ import annotations

import pytest

from event_monitor.errors import SettingsError
from event_monitor.provision.known_names import check_names
from event_monitor.provision.options import ProvisionOptions, QueueLimits, TaskLimits
from event_monitor.settings import Settings

from .examples import HOSTILE, OPTIONS

SETTINGS = Settings(groups=(("billing", ("billing.*",)),))
TASKS, QUEUES = ("shop.pay", "shop.refund", HOSTILE), ("celery", "mail", HOSTILE)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ProvisionOptions(tasks=(TaskLimits("shop.payy", p95=30),)),
            r"--task shop.payy: the app has no such task \(did you mean 'shop.pay'\?\)\.",
        ),
        (
            ProvisionOptions(queues=(QueueLimits("mial", max_age=60),)),
            r"--queue mial: the app has no such queue \(did you mean 'mail'\?\)\.",
        ),
        (
            ProvisionOptions(scale_queue="xyz"),
            r"--scale-queue xyz: the app has no such queue\.",
        ),
        (
            ProvisionOptions(services=(("mail", "mailers"), ("xyz", "workers"))),
            r"--scale xyz: the app has no such queue\.",
        ),
    ],
)
def test_a_name_that_the_app_does_not_have_is_refused(
    options: ProvisionOptions, sentence: str
) -> None:
    """CloudWatch would take it, and the alarm would never go off."""
    with pytest.raises(SettingsError, match=f"^{sentence}$"):
        check_names(options, SETTINGS, tasks=TASKS, queues=QUEUES)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ProvisionOptions(tasks=(TaskLimits("mail.send", p95=30),)),
            "--task mail.send: `only_tasks` leaves it out.",
        ),
        (
            ProvisionOptions(queues=(QueueLimits("mail", max_age=60),)),
            "--queue mail: `only_queues` leaves it out.",
        ),
        (ProvisionOptions(scale_queue="mail"), "--scale-queue mail: `only_queues` leaves it out."),
        (
            ProvisionOptions(services=(("celery", "workers"), ("mail", "mailers"))),
            "--scale mail: `only_queues` leaves it out.",
        ),
    ],
)
def test_what_belongs_to_another_service_is_refused(
    options: ProvisionOptions, sentence: str
) -> None:
    """Its monitor publishes nothing of it, so the alarm would never go off."""
    limited = Settings(only_tasks=("shop.*",), only_queues=("celery",))
    with pytest.raises(SettingsError) as refused:
        check_names(options, limited, tasks=(), queues=())
    assert str(refused.value) == sentence


def test_names_of_the_app_pass_however_strange() -> None:
    """And so do groups, and what is published for the rest."""
    check_names(OPTIONS, SETTINGS, tasks=TASKS, queues=QUEUES)
    for name in ("billing", "other", "unknown"):
        options = ProvisionOptions(tasks=(TaskLimits(name, p95=1),))
        check_names(options, SETTINGS, tasks=TASKS, queues=QUEUES)


def test_where_nothing_is_known_nothing_is_refused() -> None:
    """Without an app, and of queues without `task_queues`."""
    options = ProvisionOptions(
        tasks=(TaskLimits("a", p95=1),), queues=(QueueLimits("b", max_age=1),), scale_queue="c"
    )
    check_names(options, SETTINGS, tasks=(), queues=())
