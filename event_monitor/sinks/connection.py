"""Connection: one PutMetricData at a time, with credentials that are looked for when needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ..exchange import Exchange
from ..redaction import shown_url
from ..settings import Settings
from ..text import one_line
from .client import (
    DEADLINE_SECONDS,
    READ_SECONDS,
    Client,
    Datum,
    Session,
    client_of,
    session_of,
    shared_credentials_file,
    target_of,
)
from .credentials import (
    CREDENTIALS_SECONDS,
    Credentials,
    CredentialsError,
    keys_checked,
    wait_for,
)
from .faults import Fault, classify
from .sink import SinkFinding, SinkUnavailableError

__all__ = ["Connection"]


class Connection:
    """CloudWatch, as the settings and botocore's own chain lead to it. For one thread at a time.

    Making it reads the configuration only; credentials are looked for by ``connect`` and ``put``.
    Raises ``SinkUnavailableError`` when the configuration can never work, for want of a region
    above all.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        read_seconds: float = READ_SECONDS,
        deadline_seconds: float = DEADLINE_SECONDS,
        credentials_seconds: float = CREDENTIALS_SECONDS,
    ) -> None:
        self._settings = settings
        self._read_seconds = read_seconds
        self._deadline_seconds = deadline_seconds
        self._credentials_seconds = credentials_seconds
        self._made: tuple[Client, Credentials] | None = None
        # Kept for the first client: it has read the service's model, which takes 0.2 s.
        self._session: Session | None = _session_with_target(settings.region)

    @property
    def destination(self) -> str:
        """Return where it goes, for people: namespace, region, and an endpoint that is not AWS's.

        The region is that of the client, as soon as there is one.
        """
        namespace = self._settings.namespace
        if self._made is None:
            return namespace
        meta = self._made[0].meta
        place = f"{namespace} in {meta.region_name}"
        host = urlsplit(meta.endpoint_url).hostname or ""
        is_aws = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        return place if is_aws else f"{place} ({shown_url(meta.endpoint_url)})"

    def connect(self) -> Client:
        """Return the client, its credentials fresh; ``CredentialsError`` if there are none now."""
        try:
            if self._made is None:
                self._made = wait_for(self._make, seconds=self._credentials_seconds)
            else:
                credentials = self._made[1]
                wait_for(lambda: keys_checked(credentials), seconds=self._credentials_seconds)
        except CredentialsError:
            self.close()
            raise
        return self._made[0]

    def put(self, data: Sequence[Datum]) -> Fault | None:
        """Send one request, within the deadlines; return what became of it if it failed."""
        try:
            client = self.connect()
        except CredentialsError as error:
            return Fault("later", f"{error}.")
        namespace = self._settings.namespace
        exchange = Exchange(self._deadline_seconds)
        try:
            exchange.run(lambda: client.put_metric_data(Namespace=namespace, MetricData=list(data)))
        except Exception as error:  # noqa: BLE001  botocore reads what anybody may have answered
            fault = classify(
                error,
                namespace=namespace,
                endpoint=client.meta.endpoint_url,
                begun=exchange.begun,
            )
            if fault.renew:
                self.close()
            elif fault.kind in ("later", "ambiguous"):
                client.close()  # it stays usable: the next request goes out on a fresh connection
            return fault
        return None

    def close(self) -> None:
        """Close the connections, and forget the credentials. It can be used again."""
        if self._made is not None:
            self._made[0].close()
            self._made = None

    def _make(self) -> tuple[Client, Credentials]:
        # A session reads the shared files only once, so each client gets a new one.
        session, self._session = self._session or session_of(), None
        credentials = keys_checked(session.get_credentials())
        client = client_of(session, self._settings.region, read_seconds=self._read_seconds)
        return client, credentials


def _session_with_target(region: str) -> Session | None:
    """Return a session that knows where to publish to; ``SinkUnavailableError`` if none does.

    None if that is not known yet, because another process is writing the shared credentials.
    """
    from botocore.exceptions import BotoCoreError, ConfigParseError, NoRegionError

    try:
        session = session_of()
        target_of(session, region)
    except NoRegionError:
        raise SinkUnavailableError(
            "There is no AWS region to publish to: set AWS_REGION, such as AWS_REGION=eu-west-1, "
            "the setting `region`, or `region` in the AWS configuration file.",
            SinkFinding(
                "region",
                "failed",
                "no AWS region is set",
                "Set AWS_REGION, such as AWS_REGION=eu-west-1. Without AWS: --dry-run.",
            ),
        ) from None
    except (BotoCoreError, OSError, ValueError) as error:
        if isinstance(error, ConfigParseError):
            path = Path(str(error.kwargs["path"]))
            if path == shared_credentials_file():
                return None
        message = f"the AWS configuration cannot be used: {one_line(error)}"
        raise SinkUnavailableError(
            f"{message[0].upper()}{message[1:]}. Correct it and start again.",
            SinkFinding("region", "failed", message),
        ) from error
    return session
