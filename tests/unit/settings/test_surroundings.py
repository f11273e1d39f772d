"""Surroundings: well-formed settings that this machine, or AWS, can never fulfil."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.errors import SettingsError
from event_monitor.settings import Settings


def complaint(environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(SettingsError) as raised:
        Settings.load(flags=flags, environ=environ or {})
    return str(raised.value)


def test_a_state_dir_that_is_a_file_or_below_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    for state_dir in (file, file / "deeper"):
        assert complaint(state_dir=str(state_dir)) == (
            f"state_dir is '{state_dir}', but '{file}' is a file; name a directory."
        )


def test_an_emf_file_that_is_a_directory(tmp_path: Path) -> None:
    assert complaint(sink="emf", emf_file=str(tmp_path)) == (
        f"emf_file is '{tmp_path}', which is a directory; name a file."
    )


def test_a_region_that_aws_does_not_have() -> None:
    """Nothing of that name would ever be found in the DNS."""
    assert complaint(region="eu-west") == (
        "region is 'eu-west', which is no region of AWS; they are written like eu-west-1."
    )
    assert "'nowhere', which is no region" in complaint({"AWS_REGION": "nowhere"})


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH"])
@pytest.mark.parametrize("url", ["nonsense", "http://host:99999", "ftp://host", "http://"])
def test_an_endpoint_that_is_no_url(variable: str, url: str) -> None:
    """It is not shown: it may hold a password."""
    assert complaint({variable: url}) == (
        f"{variable} is not shown, as it may hold a password; it must be an http:// or https:// "
        "URL."
    )


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({}, {"region": "us-gov-west-1"}),
        ({}, {"region": "eu-isoe-west-1"}),
        ({}, {"region": "xx-newplace-12"}),
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, {"region": "local"}),
        ({"AWS_ENDPOINT_URL": ""}, {}),
        ({"AWS_ENDPOINT_URL": "nonsense"}, {"sink": "console", "region": "nowhere"}),
        ({}, {"state_dir": "/not/there/yet"}),
    ],
)
def test_what_may_work_is_let_alone(environ: dict[str, str], flags: dict[str, object]) -> None:
    """A new region, an endpoint of one's own, a directory that is made later."""
    Settings.load(flags=flags, environ=environ)
