"""Client: CloudWatch as botocore speaks to it, one attempt at a time and without ballast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, TypedDict

__all__ = ["READ_SECONDS", "Client", "Datum", "Session", "client_of", "session_of", "target_of"]

READ_SECONDS = 10.0  # a healthy endpoint does both within a fraction of a second
_CONNECT_SECONDS = 3.0
_SERVICES = {"monitoring", "sts", "portal.sso", "oidc"}  # CloudWatch, and who gives credentials


class Dimension(TypedDict):
    """One dimension of a datum."""

    Name: str
    Value: str


class Datum(TypedDict, total=False):
    """One metric as ``put_metric_data`` takes it: a ``Value``, or ``Values`` with ``Counts``."""

    MetricName: str
    Dimensions: list[Dimension]
    Timestamp: datetime
    Value: float
    Values: list[float]
    Counts: list[int]
    Unit: str
    StorageResolution: int


class Meta(Protocol):
    """What a client knows of itself."""

    region_name: str
    endpoint_url: str


class Client(Protocol):
    """What we use of botocore's CloudWatch client."""

    @property
    def meta(self) -> Meta:
        """Region and endpoint."""
        ...

    def put_metric_data(self, *, Namespace: str, MetricData: list[Datum]) -> Mapping[str, object]:  # noqa: N803  botocore's names
        """Send one request; raises botocore's errors."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Credentials(Protocol):
    """What we use of botocore's credentials."""

    method: str

    def get_frozen_credentials(self) -> object:
        """Fetch the keys of a role, if it is one."""
        ...


class Session(Protocol):
    """What we use of a botocore session."""

    def create_client(self, service: str, *, region_name: str | None, config: object) -> Client:
        """Make a client. Asks the providers of credentials, unless it need not sign."""
        ...

    def get_credentials(self) -> Credentials | None:
        """Ask the providers of credentials; None if none of them has any."""
        ...

    def get_component(self, name: str) -> Any:
        """Return a part of botocore, such as its data loader."""
        ...


def session_of() -> Session:
    """Return a new session of botocore's, which knows region, credentials and endpoint.

    It saves 7 MB for as long as a client of it lives: 2 of boto3, which would add nothing here, and
    5 of the table of all services' endpoints, which is cut to those this process speaks to. What is
    not in it botocore works out from a rule, as for any service newer than the table.
    """
    import botocore.session

    session: Session = botocore.session.get_session()
    for partition in session.get_component("data_loader").load_data("endpoints")["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services.keys() & _SERVICES}
    return session


def client_of(session: Session, region: str, *, read_seconds: float = READ_SECONDS) -> Client:
    """Make a CloudWatch client that tries each request once; ``""`` leaves the region to botocore.

    Asks the providers of credentials, which may take seconds and raise ``BotoCoreError``,
    ``ClientError``, ``OSError``, ``RuntimeError`` or ``ValueError``.
    """
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
    )
    return session.create_client("cloudwatch", region_name=region or None, config=config)


def target_of(session: Session, region: str) -> Meta:
    """Return the region and the endpoint that a client would use; reads configuration only.

    A client that signs nothing asks no provider of credentials, so this cannot hang. Raises
    ``NoRegionError``, other ``BotoCoreError`` or ``ValueError`` if the configuration is bad.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(signature_version=UNSIGNED)
    client = session.create_client("cloudwatch", region_name=region or None, config=config)
    client.close()
    return client.meta
