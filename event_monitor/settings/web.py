"""Web: the settings of the HTTP server: how they are written, and what of them can never work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import SettingsError
from ..redaction import MASK
from .list_parsers import NAMES
from .parsers import NotAllowedError, Parser

__all__ = [
    "ADDRESS",
    "AUTH",
    "HOSTS",
    "NETWORKS",
    "PREFIX",
    "Address",
    "Credentials",
    "address_of",
    "check_web",
    "credentials_of",
    "is_loopback",
    "networks_of",
]

_MOST_SECRET_BYTES = 100_000
_FILE_SECONDS = 10.0  # a pipe may have nobody who writes to it
_VARIABLE = "env:"  # begins what is no file
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class Address(NamedTuple):
    """Where to listen; an empty host is every interface."""

    host: str
    port: int


class Credentials(NamedTuple):
    """What a request has to bring: one of these secrets, or a header that a proxy sets."""

    scheme: str  # basic, bearer or header
    secrets: tuple[bytes, ...] = ()  # `user:password` each, or tokens
    header: str = ""


def _address(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    if raw:
        address_of(raw)
    return raw


def address_of(text: str) -> Address:
    """Return the address that ``HOST:PORT`` or ``[IPV6]:PORT`` is; ``ValueError`` if it is none."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ip_address(host)
    elif ":" in host:
        raise NotAllowedError("an IPv6 address stands in brackets, such as [::1]:9808")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65_535:
        raise ValueError
    if host and not _HOST.fullmatch(host):
        raise ValueError
    return Address(host, int(port))


ADDRESS = Parser("HOST:PORT", "HOST:PORT, such as 127.0.0.1:9808", _address)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _auth(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError
    scheme, colon, rest = raw.partition(":")
    is_known = (
        raw in ("", "none")
        or (scheme in ("basic", "bearer") and rest and rest != _VARIABLE and "\0" not in rest)
        or (scheme == "header" and _HEADER.fullmatch(rest))
    )
    if not is_known or (colon and not rest):
        raise ValueError
    return raw


def shown_auth(http_auth: str, environ: Mapping[str, str] | None = None) -> str:
    """Return it with what names nothing masked: that may be the password itself."""
    scheme, _, where = http_auth.partition(":")
    is_secret = scheme in ("basic", "bearer") and not _is_there(where, environ)
    return f"{scheme}:{MASK}" if is_secret else http_auth


def _is_there(where: str, environ: Mapping[str, str] | None) -> bool:
    """Return whether a file or variable of that name is there."""
    if where.startswith(_VARIABLE):
        return where.removeprefix(_VARIABLE) in (os.environ if environ is None else environ)
    try:
        Path(where).lstat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


AUTH = Parser(
    "none|basic:FILE|bearer:FILE|header:NAME",
    "`none`, `basic:FILE`, `bearer:FILE` (`env:VARIABLE` in the place of a file) or `header:NAME`",
    _auth,
    shown_auth,
)


def _prefix(raw: object) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", raw):
        raise ValueError
    if {".", ".."} & set(raw.split("/")):
        raise ValueError
    return raw


PREFIX = Parser("/PATH", "a path such as /celery, without a slash at its end", _prefix)


def _hosts(raw: object) -> tuple[str, ...]:
    hosts = tuple(host.lower().strip("[]") for host in NAMES.parse(raw))
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise NotAllowedError(f"{host!r} is no name of a host")
    return hosts


HOSTS = Parser("A,B", "names of hosts separated by commas, without ports", _hosts)


def _networks(raw: object) -> tuple[str, ...]:
    networks = NAMES.parse(raw)
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise NotAllowedError(str(error)) from None
    return networks


NETWORKS = Parser("A,B", "addresses or networks separated by commas, such as 10.0.0.0/8", _networks)


class _Settings(Protocol):
    @property
    def http(self) -> str: ...
    @property
    def http_auth(self) -> str: ...
    @property
    def http_page(self) -> bool: ...
    @property
    def http_proxies(self) -> tuple[str, ...]: ...


def check_web(settings: _Settings) -> None:
    """Raise ``SettingsError`` where the page would be open to all, and nobody has said so."""
    if not settings.http:
        return
    host = address_of(settings.http).host
    if not settings.http_auth and settings.http_page and not is_loopback(host):
        raise SettingsError(
            f"http is {settings.http!r}, which other machines can reach, and http_auth is not set: "
            "set it, or http_page = false for /metrics and /health only, or http_auth = none if "
            "everybody there may look."
        )
    if settings.http_auth.startswith("header:") and not settings.http_proxies:
        raise SettingsError(
            f"http_auth is {settings.http_auth!r} but http_proxies is not set: anybody can send "
            "that header, so name the proxies from which it is believed."
        )


def credentials_of(
    http_auth: str,
    environ: Mapping[str, str] | None = None,
    *,
    file_seconds: float = _FILE_SECONDS,
) -> Credentials | None:
    """Read what requests have to bring; None if nothing. ``environ`` is the process's own.

    A file or variable has one user and password (``user:password``), or one token, a line. Raises
    ``SettingsError`` that does not show it.
    """
    scheme, _, where = http_auth.partition(":")
    if scheme in ("", "none"):
        return None
    if scheme == "header":
        return Credentials("header", header=where.lower())
    if not _is_there(where, environ):
        raise SettingsError(
            "http_auth is not shown, as it may hold a password: no file or variable of that name "
            f"is there; it must be {AUTH.allowed}."
        )
    if where.startswith(_VARIABLE):
        environ = os.environ if environ is None else environ
        read = os.fsencode(environ[where.removeprefix(_VARIABLE)])
    else:
        read = _begin_of(where, seconds=file_seconds)
    secrets = tuple(line for line in map(bytes.strip, read.splitlines()) if line)
    if not secrets:
        raise SettingsError(f"http_auth is {http_auth!r}, and there is nothing in it.")
    if scheme == "basic" and not all(b":" in secret.strip(b":") for secret in secrets):
        raise SettingsError(
            f"http_auth is {http_auth!r}, and a line in it is not shown, as it may hold a password;"
            " it must be user:password."
        )
    return Credentials(scheme, secrets)


def _begin_of(where: str, *, seconds: float) -> bytes:
    from ..exchange import Exchange

    def read() -> bytes:
        with Path(where).open("rb") as file:
            return file.read(_MOST_SECRET_BYTES)

    try:
        return Exchange(seconds).run(read)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"http_auth names {where!r}, which cannot be read: {reason}.") from None


def networks_of(texts: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that were parsed by ``NETWORKS``."""
    return tuple(map(ip_network, texts))
