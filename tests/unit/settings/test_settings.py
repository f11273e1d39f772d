"""Settings: how they are shown, and what no setting can say alone."""

from __future__ import annotations

from event_monitor.settings import Settings, options

from .mistakes import mistake


def test_every_option_has_a_sentence_and_its_names() -> None:
    """--help and the reference are made of these."""
    for option in options():
        assert option.help.endswith("."), option.name
        assert option.flag == "--" + option.name.replace("_", "-")
        assert option.environ == "EVENT_MONITOR_" + option.name.upper()
        assert option.allowed
        assert "e+" not in option.allowed, option.name  # large bounds are written out


def test_a_durable_queue_needs_a_state_dir() -> None:
    """Nothing is acknowledged that is in memory only."""
    assert mistake(flags={"durable_queue": "monitor"}) == (
        "durable_queue is 'monitor' but state_dir is not set; "
        "what was counted must be on disk before it is acknowledged: set both."
    )
    both = {"durable_queue": "monitor", "state_dir": "/var/lib/monitor"}
    assert Settings.load(environ={}, flags=both).durable_queue == "monitor"


def test_a_durable_queue_needs_acknowledgements_in_time() -> None:
    """RabbitMQ's consumer_timeout is half an hour."""
    flags = {"durable_queue": "monitor", "state_dir": "/var/lib/monitor", "interval": 601}

    assert mistake(flags=flags) == (
        "interval is 601 with a durable_queue; it must be at most 600, since RabbitMQ disconnects "
        "a consumer that does not acknowledge for half an hour."
    )
