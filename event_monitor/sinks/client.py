"""Client: CloudWatch as botocore speaks to it, one attempt at a time and without ballast."""

from __future__ import annotations

from typing import Any

__all__ = ["READ_SECONDS", "client_of", "session_of"]

READ_SECONDS = 10.0  # a healthy endpoint does both within a fraction of a second
_CONNECT_SECONDS = 3.0
_SERVICES = {"monitoring", "sts", "portal.sso", "oidc"}  # CloudWatch, and who gives credentials


def session_of() -> Any:
    """A session of botocore's own, where region, credentials and endpoint come from.

    It saves 7 MB for as long as a client of it lives: 2 of boto3, which would add nothing here, and
    5 of the table of all services' endpoints, which is cut to those this process speaks to. What is
    not in it botocore works out from a rule, as for any service newer than the table.
    """
    import botocore.session

    session = botocore.session.get_session()
    for partition in session.get_component("data_loader").load_data("endpoints")["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services.keys() & _SERVICES}
    return session


def client_of(session: Any, region: str, *, read_seconds: float = READ_SECONDS) -> Any:
    """A CloudWatch client that tries each request once; ``""`` leaves the region to botocore.

    Raises ``NoRegionError``, other ``BotoCoreError`` or ``ValueError`` if the configuration is bad.
    """
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
    )
    return session.create_client("cloudwatch", region_name=region or None, config=config)
