"""Client: the endpoints botocore would find, and no table of all the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from event_monitor.sinks.client import client_of, session_of, target_of

REGIONS = (
    *("us-east-1", "eu-central-1", "ap-southeast-5"),
    *("cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"),
)


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """Nothing of the machine's own AWS configuration; a session may read it once and for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, "/nonexistent")
        yield


@pytest.fixture(scope="module")
def session() -> Any:
    return session_of()


@pytest.fixture(scope="module")
def whole() -> Any:
    """A session of botocore's with all it knows."""
    return botocore.session.get_session()


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("fips", ["false", "true"])
def test_requests_go_where_botocore_would_send_them(
    region: str, fips: str, session: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every partition, also for the services that give credentials."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
    ours = client_of(session, region)
    theirs = whole.create_client("cloudwatch", region_name=region)
    assert address(ours) == address(theirs)
    for service in ("sts", "sso", "sso-oidc"):
        ours = session.create_client(service, region_name=region)
        theirs = whole.create_client(service, region_name=region)
        assert address(ours) == address(theirs)


def test_what_the_environment_says_is_heeded(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the test above would compare the same thing twice."""
    plain = address(client_of(session, "us-east-1"))
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    fips = address(client_of(session, "us-east-1"))
    assert ("fips" in plain[0], "fips" in fips[0]) == (False, True)


def test_the_table_of_all_services_endpoints_is_not_kept(session: Any, whole: Any) -> None:
    """It would stay in memory as long as the client."""
    ours, theirs = endpoints(session), endpoints(whole)
    assert ours < theirs
    assert len(theirs) > 100
    assert len(ours) < 10


def address(client: Any) -> tuple[str, str]:
    """Return the endpoint's URL, and the region its requests are signed for."""
    return client.meta.endpoint_url, client._request_signer._region_name


def endpoints(session: Any) -> set[str]:
    """The services in the table of a session's first partition."""
    table = session.get_component("data_loader").load_data("endpoints")
    return set(table["partitions"][0]["services"])


def test_the_target_is_known_without_credentials(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region and endpoint are those a client would have."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    target = target_of(session, "eu-central-1")
    monkeypatch.undo()

    meta = client_of(session, "eu-central-1").meta
    assert (target.region_name, target.endpoint_url) == (meta.region_name, meta.endpoint_url)
