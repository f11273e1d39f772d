"""Web: where the server listens, who may look, and what of it can never work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from event_monitor.errors import SettingsError
from event_monitor.settings import Address, Credentials, Settings, address_of, credentials_of

from .mistakes import mistake


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9808", Address("127.0.0.1", 9808)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:9808", Address("::1", 9808)),
        (":9808", Address("", 9808)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: Address) -> None:
    """Without a host it is every interface."""
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text", ["9808", "127.0.0.1", "::1:9808", "h:0", "h:65536", "h:x", "[h]:1", "a b:1", "h:１"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """With an example of one."""
    assert "HOST:PORT, such as 127.0.0.1:9808" in mistake(flags={"http": text})


@pytest.mark.parametrize("where", ["127.0.0.1:9808", "localhost:9808", "[::1]:9808", "127.9.9.9:1"])
def test_the_page_needs_no_auth_where_only_this_machine_can_look(where: str) -> None:
    """As on loopback."""
    assert Settings.load(flags={"http": where}, environ={}).http == where


@pytest.mark.parametrize("where", [":9808", "0.0.0.0:9808", "10.1.2.3:9808", "monitor:9808"])
def test_the_page_is_not_shown_to_other_machines_by_mistake(where: str) -> None:
    """Unless somebody wrote who may look, or that only numbers are shown."""
    assert "http_auth is not set" in mistake(flags={"http": where})
    for enough in ({"http_auth": "none"}, {"http_page": False}, {"http_auth": "bearer:/run/token"}):
        assert Settings.load(flags={"http": where, **enough}, environ={}).http == where


def test_a_header_is_believed_only_from_proxies_that_are_named() -> None:
    """Anybody can send one."""
    flags = {"http": ":9808", "http_auth": "header:x-amzn-oidc-identity"}
    assert "http_proxies is not set" in mistake(flags=flags)
    Settings.load(flags={**flags, "http_proxies": "10.0.0.0/8"}, environ={})


@pytest.mark.parametrize(
    "flags",
    [
        {"http_auth": "password"},
        {"http_auth": "basic:"},
        {"http_auth": "bearer:env:"},
        {"http_auth": "header:a b"},
        {"http_proxies": "10.0.0.1/8"},
        {"http_hosts": "a/b"},
        {"http_prefix": "celery"},
        {"http_prefix": "/celery/"},
        {"http_prefix": "/a/../b"},
    ],
)
def test_what_is_not_well_formed_is_refused(flags: dict[str, str]) -> None:
    """In one sentence that names the flag."""
    (key,) = flags
    assert mistake(flags=flags).startswith("--" + key.replace("_", "-"))


def test_secrets_are_read_from_a_file_or_a_variable_one_a_line(tmp_path: Path) -> None:
    """So that a new one may be accepted beside the old one."""
    file = tmp_path / "secret"
    file.write_text("ops:one\n\nops:two\n")

    assert credentials_of(f"basic:{file}", {}) == Credentials("basic", (b"ops:one", b"ops:two"))
    assert credentials_of("bearer:env:TOKEN", {"TOKEN": "abc"}) == Credentials("bearer", (b"abc",))
    assert credentials_of("bearer:env:TOKEN", {"TOKEN": "\udce9"}) == Credentials(
        "bearer", (b"\xe9",)
    )
    assert credentials_of("header:X-User", {}) == Credentials("header", header="x-user")
    assert credentials_of("none", {}) is credentials_of("", {}) is None


def test_what_holds_no_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    """A password may stand where a user should."""
    file = tmp_path / "secret"
    file.write_text("hunter2\n")
    with pytest.raises(SettingsError, match="must be user:password") as refused:
        credentials_of(f"basic:{file}", {})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(SettingsError, match="nothing in it"):
        credentials_of("bearer:env:TOKEN", {"TOKEN": ""})
    with pytest.raises(SettingsError, match="Is a directory"):
        credentials_of(f"basic:{tmp_path}", {})


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    """The start would hang without a word."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    try:
        with pytest.raises(SettingsError, match=r"cannot be read: no end within 0\.1 s"):
            credentials_of(f"bearer:{pipe}", {}, file_seconds=0.1)
    finally:
        os.close(os.open(pipe, os.O_RDWR))  # lets go of who still waits
