"""Management: a client of RabbitMQ's HTTP API, which reports what AMQP does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from socket import gaierror
from urllib.parse import quote, unquote, urlsplit

import msgspec
import urllib3

from ..exchange import Exchange
from ..pool import bounded_pool
from ..text import one_line
from .protocols import Connection

__all__ = ["Management", "why_unusable"]

_PAGE = 500  # queues; the most the API takes
_MOST_PAGES = 20
_REFUSED = (401, 403)
_NOT_FOUND = 404


class Management:
    """A client of the API at a URL such as ``http://user:password@host:15672``.

    Each of its requests ends within twice ``timeout_seconds``, whatever the server sends.
    """

    #: What its methods raise when the API cannot be used; their texts never hold the password.
    gone: tuple[type[BaseException], ...] = (urllib3.exceptions.HTTPError, OSError, ValueError)

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        parts = urlsplit(url)
        self._base = parts._replace(
            netloc=parts.netloc.rpartition("@")[2],
            path=parts.path.rstrip("/"),
            query="",
            fragment="",
        ).geturl()
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        self._pool = bounded_pool(
            timeout_seconds=timeout_seconds,
            headers=urllib3.make_headers(basic_auth=f"{user}:{password}") if user else None,
        )
        self._deadline_seconds = 2 * timeout_seconds

    def queues(
        self, vhost: str | None, *, columns: Sequence[str], name: str = ""
    ) -> Iterator[Mapping[str, object]]:
        """Yield the queues of a virtual host, at most 10,000, with only these columns of each.

        Without a virtual host they are those of all that this user may see. ``name`` is a regular
        expression that their names match.
        """
        url = f"{self._base}/api/queues"
        if vhost is not None:
            url += f"/{quote(vhost, safe='')}"
        for page in range(1, _MOST_PAGES + 1):
            fields = {"page": str(page), "page_size": str(_PAGE), "columns": ",".join(columns)}
            if name:
                fields |= {"name": name, "use_regex": "true"}
            answer = self._get(url, fields)
            items = answer.get("items") if isinstance(answer, dict) else answer
            if not isinstance(items, list):
                raise ValueError(f"{self._base} does not answer as RabbitMQ's management API does")
            yield from (item for item in items if isinstance(item, dict))
            pages = answer.get("page_count") if isinstance(answer, dict) else None
            if not isinstance(pages, int) or page >= pages:
                return

    def alarms(self) -> tuple[str, ...]:
        """Return the alarms that are on in the cluster, such as ``memory on rabbit@host``.

        By a health check: unlike the list of nodes it is never late, and open to all users.
        """
        answer = self._get(f"{self._base}/api/health/checks/alarms", {}, statuses=(200, 503))
        if isinstance(answer, dict) and answer.get("status") == "ok":
            return ()
        alarms = answer.get("alarms") if isinstance(answer, dict) else None
        if not isinstance(alarms, list):
            raise ValueError(f"{self._base} does not answer as RabbitMQ's management API does")
        return tuple(
            f"{alarm.get('resource')} on {alarm.get('node')}"
            for alarm in alarms
            if isinstance(alarm, dict)
        )

    def close(self) -> None:
        """Close the connections. Never raises."""
        with suppress(Exception):
            self._pool.clear()

    def _get(
        self, url: str, fields: Mapping[str, str], *, statuses: Collection[int] = (200,)
    ) -> object:
        # Nothing is decompressed: a compressed answer was not asked for, and may be a bomb.
        try:
            answer = Exchange(self._deadline_seconds).run(
                lambda: self._pool.request("GET", url, fields=dict(fields), decode_content=False)
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ValueError(f"{self._base} {_what_is_wrong(error)}") from error
        if answer.status in _REFUSED:
            raise ValueError(
                f"{self._base} refuses the user of management_url (HTTP {answer.status}): the "
                "password is wrong, or the user has no tag `management`"
            )
        if answer.status == _NOT_FOUND and _NOT_FOUND not in statuses:
            raise ValueError(
                f"{self._base} answers with HTTP 404: it is no management API, or lacks this vhost"
            )
        if answer.status not in statuses:
            raise ValueError(f"{self._base} answers with HTTP {answer.status}")
        try:
            # Unlike Python's own it refuses NaN, and a lone surrogate, which no queue can have.
            document: object = msgspec.json.decode(answer.data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise ValueError(f"{self._base} does not answer with JSON") from None
        return document


def _what_is_wrong(error: Exception) -> str:
    """Return why there was no answer, as the rest of a sentence that begins with the URL."""
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        cause = error.__cause__ or error.__context__
        if isinstance(cause, gaierror):
            return "cannot be reached: there is no host of that name"
        return f"cannot be reached: {getattr(cause, 'strerror', None) or one_line(error)}"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "does not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError):
        if "WRONG_VERSION_NUMBER" in str(error):
            return "does not speak TLS: it may be http://"
        return f"cannot be trusted: {one_line(error)}"
    if "Connection aborted" in str(error):  # urllib3's words where no answer of HTTP began
        return "hangs up without an answer of HTTP: the API is at port 15672 as a rule"
    return f"does not answer: {one_line(error)}"


def why_unusable(connection: Connection, url: str, *, timeout_seconds: float) -> str:
    """Return why the API at that URL is of no use with this broker; empty if it is. Never raises.

    Takes one request.
    """
    driver = connection.transport.driver_type
    if driver != "amqp":
        return f"management_url is of no use: the broker is {driver}, not RabbitMQ"
    management = Management(url, timeout_seconds=timeout_seconds)
    try:
        next(management.queues(connection.virtual_host or "/", columns=("name",)), None)
    except Management.gone as error:
        return f"management_url is of no use: {error}"
    finally:
        management.close()
    return ""
