"""Faults: a probe of a broker that cannot be asked fails in time, and works again by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from event_monitor.settings import Settings

from ...support.proxy import Proxy
from ...support.servers import Server, free_port
from .cluster import Cluster, Make

IMPATIENT = Settings(probe_seconds=0.5)
PATIENT = Settings(probe_seconds=3.0)  # with a broker that answers before it falls silent


@dataclass(frozen=True, slots=True)
class Proxied:
    """A cluster with one message in ``q``, a proxy before it, and the URL through the proxy."""

    cluster: Cluster
    proxy: Proxy
    url: str


@pytest.fixture(params=["redis", "rabbitmq"])
def proxied(
    request: pytest.FixtureRequest, make: Make, server: Callable[[str], Server]
) -> Iterator[Proxied]:
    kind: str = request.param
    cluster = make("classic" if kind == "rabbitmq" else kind)
    cluster.publish("q", 1)
    port = server(kind).port
    with Proxy(port) as proxy:
        yield Proxied(cluster, proxy, cluster.url.replace(f":{port}", f":{proxy.port}"))


def test_a_broker_that_is_down_is_gone_and_comes_back(proxied: Proxied) -> None:
    # Given a probe that has read once
    probe = proxied.cluster.probe(to=proxied.url)
    assert probe.read(("q",))[0].ready == 1

    # When the broker refuses connections, then takes them again
    proxied.proxy.refuse()
    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))
    proxied.proxy.forward()

    # Then it is read as before
    assert probe.read(("q",))[0].ready == 1


def test_a_connection_that_was_cut_while_idle_is_no_failure(proxied: Proxied) -> None:
    probe = proxied.cluster.probe(to=proxied.url)
    probe.read(("q",))
    proxied.proxy.refuse()
    proxied.proxy.forward()

    assert probe.read(("q",))[0].ready == 1


def test_a_broker_that_falls_silent_is_gone(proxied: Proxied) -> None:
    """The test's own time-out is the bound that matters."""
    probe = proxied.cluster.probe(to=proxied.url, settings=PATIENT)
    probe.read(("q",))
    proxied.proxy.freeze()

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


def test_a_broker_that_never_answers_is_gone(proxied: Proxied) -> None:
    proxied.proxy.freeze()
    probe = proxied.cluster.probe(to=proxied.url, settings=IMPATIENT)

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


def test_a_wrong_password_is_gone_and_not_shown(proxied: Proxied) -> None:
    host = proxied.url.rpartition("@")[2].rpartition("//")[2]
    scheme = proxied.url.partition(":")[0]
    probe = proxied.cluster.probe(to=f"{scheme}://guest:hunter2@{host}")

    with pytest.raises(probe.gone, match="cannot be read") as raised:
        probe.read(("q",))
    assert "hunter2" not in str(raised.value)


def test_the_next_url_of_a_broker_is_tried(make: Make, server: Callable[[str], Server]) -> None:
    cluster = make("classic")
    cluster.publish("q", 1)
    url = cluster.url
    away = url.replace(f":{server('rabbitmq').port}", f":{free_port()}")

    assert cluster.probe(to=f"{away};{url}").read(("q",))[0].ready == 1
