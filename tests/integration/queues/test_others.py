"""Others: SQS, and a transport that nobody wrote a probe for."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_monitor.settings import Settings
from event_monitor.survey import QueueDepth

from ...support.answering import OK, Answer, Answering, flood, trickle
from ...support.servers import free_port
from .cluster import Cluster, Make


def test_sqs_reports_what_was_received_and_predefined_queues_are_used(make: Make) -> None:
    # Given a queue that kombu may not create, of another name than ours
    cluster = make("sqs")
    cluster.publish("q", 3)
    channel = cluster.connection.default_channel
    url = channel._resolve_queue_url("q")
    options = dict(cluster.app.conf.broker_transport_options)
    del options["queue_name_prefix"]
    options["predefined_queues"] = {"ours": {"url": url}}
    cluster.app.conf.broker_transport_options = options

    # When one message is received
    assert channel.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]

    # Then it is unacknowledged
    ours, other = cluster.probe().read(("ours", "other"))
    assert ours == QueueDepth("ours", ready=2, unacked=1)
    assert other == QueueDepth("other", missing=True)


def test_sqs_that_does_not_answer_is_gone(make: Make) -> None:
    probe = make("sqs").probe(to=f"sqs://testing:testing@127.0.0.1:{free_port()}")

    with pytest.raises(probe.gone, match="cannot be read"):
        probe.read(("q",))


@pytest.mark.parametrize("answer", [trickle(OK + b"x-slow: "), flood], ids=["trickle", "flood"])
def test_sqs_that_answers_without_end_is_gone(make: Make, answer: Answer) -> None:
    """The deadline is one of the whole, and the connection is closed."""
    cluster = make("sqs")
    with Answering(answer) as server:
        url = f"http://127.0.0.1:{server.port}"
        options = dict(cluster.app.conf.broker_transport_options)
        del options["queue_name_prefix"]
        options["predefined_queues"] = {"q": {"url": f"{url}/1/q"}}
        cluster.app.conf.broker_transport_options = options
        settings = Settings(probe_seconds=2.0)
        probe = cluster.probe(
            to=url.replace("http://", "sqs://testing:testing@"), settings=settings
        )

        with pytest.raises(probe.gone, match="cannot be read"):
            probe.read(("q",))

        assert server.gone.wait(60)


def test_any_other_transport_reports_what_is_ready(tmp_path: Path) -> None:
    folder = str(tmp_path)
    cluster = Cluster(
        "filesystem://", data_folder_in=folder, data_folder_out=folder, control_folder=folder
    )
    cluster.publish("q", 2)
    try:
        assert cluster.probe().read(("q",)) == (QueueDepth("q", ready=2),)
    finally:
        cluster.close()
