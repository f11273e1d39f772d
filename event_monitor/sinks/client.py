"""Client: CloudWatch as botocore speaks to it, one attempt at a time and without ballast."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, TypedDict

from ..exchange import Exchange
from ..redaction import log_no_keys, without_keys
from ..text import one_line
from .acknowledgement import require_aws, require_cloudwatch
from .credentials import Credentials

__all__ = [
    "DEADLINE_SECONDS",
    "READ_SECONDS",
    "Client",
    "Datum",
    "Session",
    "believe_only_aws",
    "client_of",
    "session_of",
    "shared_credentials_file",
    "target_of",
]

# A healthy endpoint does all of it within a fraction of a second.
_CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0  # for each read
DEADLINE_SECONDS = 15.0  # for the whole request
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


class Session(Protocol):
    """What we use of a botocore session."""

    def create_client(self, service: str, *, region_name: str | None, config: object = None) -> Any:
        """Make a client. Asks the providers of credentials, unless it need not sign."""
        ...

    def get_credentials(self) -> Credentials | None:
        """Ask the providers of credentials; None if none of them has any."""
        ...

    def get_component(self, name: str) -> Any:
        """Return a part of botocore, such as its data loader."""
        ...


def session_of(*, may_prompt: bool = False) -> Session:
    """Return a new session of botocore's, which knows region, credentials and endpoint.

    Its requests obey the ``Exchange`` they are made in. ``may_prompt``: somebody is there who can
    type the code of a second factor.

    It saves 7 MB for as long as a client of it lives: 2 of boto3, which would add nothing here, and
    5 of the table of all services' endpoints, which is cut to those this process speaks to. What is
    not in it botocore works out from a rule, as for any service newer than the table.
    """
    from ..aws import BoundedSession

    for name in ("botocore.credentials", "botocore.tokens"):
        logging.getLogger(name).addFilter(_without_traceback)
    log_no_keys()
    bounded = BoundedSession()
    bounded.may_prompt = may_prompt
    session: Session = bounded
    for partition in session.get_component("data_loader").load_data("endpoints")["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services.keys() & _SERVICES}
    return session


def shared_credentials_file() -> Path:
    """Return where botocore looks for the shared credentials; the file need not exist."""
    from ..aws import BoundedSession

    return Path(str(BoundedSession().get_config_variable("credentials_file"))).expanduser()


def _without_traceback(record: logging.LogRecord) -> bool:
    """Filter botocore's logs of credentials: leave out what is raised as well, and all tracebacks.

    It logs the traceback of each refresh that fails, also where it raises the same error.
    """
    if record.exc_info is not None:
        said = one_line(without_keys(str(record.exc_info[1])))
        record.msg, record.args = f"{record.getMessage()} {said}", ()
        record.exc_info = None
    said = record.getMessage()
    return not any(words in said for words in ("mandatory refresh", "are still expired"))


def client_of(session: Session, region: str, *, read_seconds: float = READ_SECONDS) -> Client:
    """Make a CloudWatch client that tries each request once; ``""`` leaves the region to botocore.

    Its requests raise ``NotCloudWatchError`` if somebody else says that all is well. Making it asks
    the providers of credentials, which may take seconds and raise anything.
    """
    from botocore.config import Config

    from ..aws import bound

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
    )
    client: Any = session.create_client("cloudwatch", region_name=region or None, config=config)
    believe_only_aws(client, judge=require_cloudwatch)
    # In between it signs, and may ask a provider for new credentials.
    for event, note in (
        ("before-call", Exchange.await_request),
        ("before-send", partial(Exchange.announce_request, is_watched=bound(client))),
    ):
        client.meta.events.register(event, partial(_noted, note))
    made: Client = client
    return made


def _noted(note: Callable[[Exchange], None], **_event: object) -> None:
    exchange = Exchange.current()
    if exchange is not None:
        note(exchange)


def believe_only_aws(client: Any, *, judge: Callable[..., None] = require_aws) -> None:
    """Let the client raise ``NotCloudWatchError`` for an answer that is not AWS's own."""

    def look(*, http_response: Any, **_event: object) -> None:
        if http_response.status_code < HTTPStatus.MULTIPLE_CHOICES:  # else it is a ``ClientError``
            judge(
                endpoint=client.meta.endpoint_url,
                status=http_response.status_code,
                headers=http_response.headers,
                body=http_response.content,
            )

    client.meta.events.register("after-call", look)


def target_of(session: Session, region: str) -> Meta:
    """Return the region and the endpoint that a client would use; reads configuration only.

    A client that signs nothing asks no provider of credentials, so this cannot hang. Raises
    ``NoRegionError``, other ``BotoCoreError`` or ``ValueError`` if the configuration is bad.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(signature_version=UNSIGNED)
    client: Client = session.create_client("cloudwatch", region_name=region or None, config=config)
    client.close()
    return client.meta
