"""Local name: identifiers that are readable, and the same for no two names."""

from __future__ import annotations

import re

from event_monitor.provision.render.local_name import local_name, logical_id

NAMES = (
    *("a", "a-b", "a.b", "a_b", "a b", "a--b", "A-b", "a-B", "ab", "a-b-", "-a-b", "a-1", "a1"),
    *('a"b', "a\\b", "a${b}", "a%{b}", "a\nb", "a\x00b", "aéb", "é", "è", "日本", "…", ""),
    *("a" * 300, "a" * 299, "a." * 150, "a-" * 150, "a/b", "a:b", "a@b", "a*b"),
)


def test_what_is_plain_stays_as_it_is() -> None:
    """Words joined by hyphens, as most names of alarms are."""
    assert local_name("oldest-message") == "oldest_message"
    assert logical_id("oldest-message") == "OldestMessage"


def test_what_is_not_plain_stays_readable() -> None:
    """Tasks have dots and underscores in their names."""
    assert re.fullmatch("runtime_p95_shop_pay_[0-9a-f]{8}", local_name("runtime-p95-shop.pay"))
    assert re.fullmatch("RuntimeP95ShopPayX[0-9a-f]{8}", logical_id("runtime-p95-shop.pay"))


def test_no_two_names_share_an_identifier() -> None:
    """Nor does any make one that Terraform or CloudFormation could not read."""
    names = [f"queue-length-{name}" for name in NAMES]
    local, logical = list(map(local_name, names)), list(map(logical_id, names))

    assert len(set(local)) == len(set(logical)) == len(set(names))
    assert all(re.fullmatch("[a-z][a-z0-9_]{0,99}", name) for name in local)
    assert all(re.fullmatch("[A-Z][A-Za-z0-9]{0,99}", name) for name in logical)
