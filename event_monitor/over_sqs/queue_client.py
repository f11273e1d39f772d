"""Queue client: one SendMessage at a time, each with a deadline of the whole.

Nothing is imported in the sender's thread: a process that forked meanwhile would have half a module
for ever. So ``prepare`` imports it all, in the thread that calls it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..exchange import Exchange, NoThreadError
from ..text import one_line
from .configuration import DEFAULT_REGION, EventQueue

__all__ = ["Fault", "QueueClient", "after_fork", "hold_for_fork", "prepare"]

_CONNECT_SECONDS = 3.0
_READ_SECONDS = 5.0  # for each read
_SEND_SECONDS = 10.0  # for the whole of a request, which may fetch new credentials first
_CREDENTIALS_SECONDS = 60.0  # a credential_process may be slow
_FORK_SECONDS = 1.0  # a fork waits so long for a client that is being made, at most

_SERVICES = frozenset({"sqs", "sts", "portal.sso", "oidc"})  # SQS, and who gives credentials

_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_NEVER = frozenset({"InvalidMessageContents", "InvalidParameterValue"})  # whatever is tried

T = TypeVar("T")

_making = threading.Lock()  # while botocore makes a session or a client, which may import
_is_prepared = False
_loader: Any = None  # of botocore's data; it keeps what it has read, which takes 0.15 s of CPU


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message was not sent, in one sentence without a full stop, and whether it ever can."""

    sentence: str
    is_final: bool = False


class QueueClient:
    """Sends to one queue. Finds queue and credentials when they are needed. For one thread.

    ``arguments`` are those of ``configuration.client_arguments``.
    """

    def __init__(self, queue: EventQueue, arguments: Mapping[str, str]) -> None:
        self._queue = queue
        self._arguments = arguments
        self._client: Any = None
        self._url = queue.url

    def send(self, body: str) -> Fault | None:
        """Send a message; return what was in the way. It may have been sent even so."""
        from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

        try:
            if self._client is None:
                self._client = self._make()
            _within(_SEND_SECONDS, lambda: self._send(body))
        except ClientError as error:
            return self._refused(error, str(error.response.get("Error", {}).get("Code", "")))
        except (OSError, ConnectionError, HTTPClientError) as error:
            return Fault(one_line(error))
        except Exception as error:  # noqa: BLE001  providers of credentials raise anything
            self._forget()
            return Fault(one_line(error))
        return None

    def _send(self, body: str) -> None:
        if self._url is None:
            self._url = self._client.get_queue_url(QueueName=self._queue.name)["QueueUrl"]
        answer = self._client.send_message(QueueUrl=self._url, MessageBody=body)
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        if not isinstance(answer, Mapping) or answer.get("MD5OfMessageBody") != digest:
            raise OSError(f"{self._client.meta.endpoint_url} answers as SQS does not")

    def _make(self) -> Any:
        from botocore.exceptions import NoCredentialsError

        with _making:
            session = _new_session()
        # The session keeps them, so no provider is asked while forks wait for the lock.
        find = session.get_credentials
        has_keys = "aws_access_key_id" in self._arguments
        if not has_keys and _within(_CREDENTIALS_SECONDS, find) is None:
            raise NoCredentialsError
        with _making:
            return _new_client(session, self._arguments)

    def _refused(self, error: Any, code: str) -> Fault:
        if code in _NO_QUEUE:
            self._url = self._queue.url
            return Fault(f"there is no queue {self._queue.name}")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < 500 and code not in _NEVER:
            self._forget()  # it may be the credentials
        return Fault(one_line(error), is_final=code in _NEVER)

    def _forget(self) -> None:
        client, self._client = self._client, None
        self._url = self._queue.url
        if client is not None:
            with suppress(Exception):
                client.close()


def prepare() -> None:
    """Import whatever a request needs, and read botocore's data, in the calling thread.

    Takes some 0.3 s, once in a process and its children. Never raises: what is wrong is said when
    something cannot be sent.
    """
    global _is_prepared, _loader
    if _is_prepared:
        return
    _is_prepared = True
    import encodings.idna  # noqa: F401  # looking up a host's name needs it

    with suppress(Exception), _making:
        session = _new_session()
        loader = session.get_component("data_loader")
        for partition in loader.load_data("endpoints")["partitions"]:  # 5 MB
            services = partition["services"]
            partition["services"] = {name: services[name] for name in services.keys() & _SERVICES}
        _new_client(session, {}, is_signed=False).close()
        _loader = loader


def hold_for_fork() -> Callable[[], None]:
    """Wait until no client is being made; return what lets them be made again."""
    return _making.release if _making.acquire(timeout=_FORK_SECONDS) else lambda: None


def after_fork() -> None:
    """Begin anew in the child of a fork: nobody holds the lock."""
    global _making
    _making = threading.Lock()


def _new_session() -> Any:
    from ..aws import BoundedSession

    session = BoundedSession()
    if _loader is not None:
        session.register_component("data_loader", _loader)
    return session


def _new_client(session: Any, arguments: Mapping[str, str], *, is_signed: bool = True) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        **({} if is_signed else {"signature_version": UNSIGNED}),
    )
    region = arguments.get("region_name") or session.get_config_variable("region")
    told = {**arguments, "region_name": region or DEFAULT_REGION}
    return session.create_client("sqs", config=config, **told)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what the call returns; give it up after so long."""
    try:
        return Exchange(seconds).run(call)
    except NoThreadError:  # as always when the interpreter ends; each read has a limit of its own
        return call()
