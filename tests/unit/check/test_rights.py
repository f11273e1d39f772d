"""Rights: each refusal is named as the right that is missing."""

from __future__ import annotations

import pytest
from amqp.exceptions import AccessRefused

from event_monitor.check.rights import Need, missing_right

NEED = Need(keys="~celery*", channels="&/0.celeryev/*")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (  # Redis 7.0, 7.2 and 8
            "NOPERM this user has no permissions to run the 'psubscribe' command",
            "this user may not run PSUBSCRIBE (ACL rule: +psubscribe)",
        ),
        (
            "User ro has no permissions to run the 'config|get' command",
            "this user may not run CONFIG GET (ACL rule: +config|get)",
        ),
        (
            "NOPERM this user has no permissions to access one of the channels used as arguments",
            "this user may not use a channel (ACL rule: &/0.celeryev/*)",
        ),
        (
            "No permissions to access a channel",
            "this user may not use a channel (ACL rule: &/0.celeryev/*)",
        ),
        ("No permissions to access a key", "this user may not use a key (ACL rule: ~celery*)"),
        (
            "Command # 1 (LLEN mail) of pipeline caused error: this user has no permissions to "
            "access one of the keys used as arguments",
            "this user may not use the key mail (ACL rule: ~celery*)",
        ),
    ],
)
def test_redis_names_the_command_and_we_what_it_was_for(text: str, right: str) -> None:
    assert missing_right(Exception(text), NEED) == right


@pytest.mark.parametrize(
    ("kind", "method", "right"),
    [
        ("exchange", "Exchange.declare", "configure"),
        ("queue", "Queue.declare", "configure"),
        ("queue", "Queue.bind", "write"),
        ("exchange", "Queue.bind", "read"),
        ("exchange", "Basic.publish", "write"),
        ("queue", "Basic.consume", "read"),
    ],
)
def test_rabbitmq_names_the_object_and_the_method_tells_the_right(
    kind: str, method: str, right: str
) -> None:
    text = f"ACCESS_REFUSED - access to {kind} 'x' in vhost 'v' refused for user 'ro'"
    error = AccessRefused(text, (40, 10), method)

    assert missing_right(error, Need()) == f"this user may not {right} the {kind} 'x' on vhost 'v'"


def test_newer_rabbitmq_names_the_right_itself() -> None:
    """Since 3.13."""
    text = "ACCESS_REFUSED - write access to exchange 'x' in vhost 'v' refused for user 'ro'"

    assert missing_right(AccessRefused(text, (40, 10), "Exchange.declare"), Need()) == (
        "this user may not write the exchange 'x' on vhost 'v'"
    )


def test_the_cause_of_an_error_is_looked_at_too() -> None:
    """Ours have one sentence, and the driver's behind it."""
    error = ConnectionError("the queues cannot be read")
    error.__cause__ = Exception("NOPERM this user has no permissions to run the 'llen' command")

    assert missing_right(error, NEED) == "this user may not run LLEN (ACL rule: +llen)"


def test_the_drivers_own_error_says_more_than_the_sentence_about_it() -> None:
    """Only it has the method."""
    text = "ACCESS_REFUSED - access to exchange 'x' in vhost 'v' refused for user 'ro'"
    error = ConnectionError(f"the workers cannot be asked: Exchange.declare: (403) {text}")
    error.__cause__ = AccessRefused(text, (40, 10), "Exchange.declare")

    assert missing_right(error, NEED) == "this user may not configure the exchange 'x' on vhost 'v'"


def test_what_is_no_refusal_is_none() -> None:
    """A broker that is away refuses nothing."""
    assert missing_right(ConnectionError("Connection refused"), NEED) is None
