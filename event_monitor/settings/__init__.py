"""Settings: everything a user can choose, read from its sources and validated once."""

from __future__ import annotations

from .did_you_mean import did_you_mean
from .globs import matches
from .only import Only, Whence
from .options import Option, options
from .parsers import text_of
from .settings import Settings, interval_of
from .sources import (
    ENV_PREFIX,
    Source,
    conf_of,
    region_unknown_to_boto3,
    use_broker,
    wants_colours,
)
from .web import Address, Credentials, address_of, credentials_of, networks_of

__all__ = [
    "ENV_PREFIX",
    "Address",
    "Credentials",
    "Only",
    "Option",
    "Settings",
    "Source",
    "Whence",
    "address_of",
    "conf_of",
    "credentials_of",
    "did_you_mean",
    "interval_of",
    "matches",
    "networks_of",
    "options",
    "region_unknown_to_boto3",
    "text_of",
    "use_broker",
    "wants_colours",
]
