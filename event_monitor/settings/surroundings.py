"""Surroundings: settings that are well-formed and can never work on this machine.

What may come back (a disk, an endpoint that is away, credentials) is no matter of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..errors import SettingsError
from ..redaction import remember_secrets
from .parsers import URL

__all__ = ["check_surroundings"]

_ENDPOINTS = ("AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL")  # botocore's; the first wins
# What botocore quotes when it can make nothing of it. Proxies may be in small letters, too.
_URLS = re.compile(
    r"(?i:HTTPS?_PROXY|ALL_PROXY)|AWS_ENDPOINT_URL\w*"
    r"|AWS_EC2_METADATA_SERVICE_ENDPOINT|AWS_CONTAINER_CREDENTIALS_FULL_URI"
)
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d{1,2}")  # regions newer than botocore, too


class _Settings(Protocol):
    @property
    def emf_file(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def sink(self) -> str: ...
    @property
    def state_dir(self) -> str: ...


def check_surroundings(settings: _Settings, environ: Mapping[str, str]) -> None:
    """Raise ``SettingsError`` naming the setting, or the variable of AWS's, that cannot work.

    Passwords of proxies and of AWS's endpoints are masked from then on, whoever prints them.
    """
    remember_secrets(*(url for name, url in environ.items() if _URLS.fullmatch(name)))
    if settings.state_dir:
        found = _file_in_the_way(Path(settings.state_dir))
        if found is not None:
            raise SettingsError(
                f"state_dir is {settings.state_dir!r}, but {str(found)!r} is a file; "
                "name a directory."
            )
    if settings.sink == "emf" and settings.emf_file and _is_directory(Path(settings.emf_file)):
        raise SettingsError(
            f"emf_file is {settings.emf_file!r}, which is a directory; name a file."
        )
    if settings.sink == "cloudwatch":
        _check_aws(settings.region, environ)


def _check_aws(region: str, environ: Mapping[str, str]) -> None:
    endpoints = [name for name in _ENDPOINTS if environ.get(name)]
    for name in endpoints:
        try:
            URL.parse(environ[name])
        except ValueError:
            raise SettingsError(
                f"{name} is not shown, as it may hold a password; it must be {URL.allowed}."
            ) from None
    if region and not endpoints and not _REGION.fullmatch(region):
        raise SettingsError(
            f"region is {region!r}, which is no region of AWS; they are written like eu-west-1."
        )


def _file_in_the_way(path: Path) -> Path | None:
    """Return what is there of the path and no directory."""
    try:
        return next(
            (place for place in (path, *path.parents) if place.exists() and not place.is_dir()),
            None,
        )
    except OSError:  # it cannot be looked at now
        return None


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
