"""Parsers: what is allowed for each kind of setting, and how it may be written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from event_monitor.errors import SettingsError
from event_monitor.settings import Settings, options, text_of

from .mistakes import mistake


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("namespace", "", "1 to 255 printable ASCII characters"),
        ("namespace", "AWS/Celery", "not beginning with `AWS/` or `:`"),
        ("namespace", "Zähler", "1 to 255 printable ASCII characters"),
        ("namespace", "x" * 256, "1 to 255 printable ASCII characters"),
        ("namespace", 3, "1 to 255 printable ASCII characters"),
        ("interval", "fast", "1 to 3,600 seconds"),
        ("interval", "0", "1 to 3,600 seconds"),
        ("interval", "nan", "1 to 3,600 seconds"),
        ("interval", "inf", "1 to 3,600 seconds"),
        ("interval", True, "1 to 3,600 seconds"),
        ("interval", None, "1 to 3,600 seconds"),
        ("series_budget", "1.5", "a whole number from 100 to 100,000"),
        ("series_budget", 1e400, "a whole number from 100 to 100,000"),
        ("series_budget", True, "a whole number from 100 to 100,000"),
        ("series_budget", "99", "a whole number from 100 to 100,000"),
        ("worker_grace_beats", "1", "2 to 1,000 heartbeats"),
        ("high_resolution", "maybe", "`true` or `false`"),
        ("high_resolution", 1, "`true` or `false`"),
        (
            "sink",
            "prometheus",
            "`cloudwatch`, `console`, `emf` or the sink of an installed package",
        ),
        ("emf_file", 5, "a file"),
        ("on_ambiguous_send", "", "`retry` or `drop`"),
        ("include_tasks", 5, "names or globs separated by commas"),
        ("include_tasks", {"a": "b"}, "names or globs separated by commas"),
        ("include_tasks", [1], "names or globs separated by commas"),
        ("state_dir", 5, "a directory"),
        ("state_dir", "a\0b", "a directory"),
    ],
)
def test_a_wrong_value_is_answered_with_key_value_and_what_is_allowed(
    key: str, value: object, allowed: str
) -> None:
    """The sentence has the rule of the setting."""
    sentence = mistake(conf={key: value})

    assert sentence.startswith(f"app.conf.event_monitor[{key!r}] is {value!r}; it must be ")
    assert allowed in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_flags_may_be_switched_on_in_many_words(text: str) -> None:
    """Whatever a deployment tool writes for true."""
    assert Settings.load(environ={"EVENT_MONITOR_BY_EXCEPTION": text}).by_exception is True


@pytest.mark.parametrize("text", ["0", "false", "No", "OFF"])
def test_flags_may_be_switched_off_in_many_words(text: str) -> None:
    """An explicit false wins over the app's true."""
    settings = Settings.load(
        environ={"EVENT_MONITOR_BY_EXCEPTION": text}, conf={"by_exception": True}
    )

    assert settings.by_exception is False


def test_lists_are_split_stripped_and_without_repetition() -> None:
    """As text with commas, or as a list."""
    assert Settings.load(environ={}, flags={"include_tasks": " a.*, b ,,a.*"}).include_tasks == (
        "a.*",
        "b",
    )
    assert Settings.load(environ={}, conf={"include_tasks": ["a.*", "b"]}).include_tasks == (
        "a.*",
        "b",
    )
    assert Settings.load(
        environ={}, conf={"include_tasks": (name for name in ("a", "b"))}
    ).include_tasks == ("a", "b")


def test_metric_names_can_be_all_or_none() -> None:
    """``all`` stands for those that can be split so, and for no others."""
    settings = Settings.load(environ={}, flags={"by_task": "none", "by_worker": "all"})

    assert settings.by_task == ()
    assert "WorkersOnline" in settings.by_worker
    assert "MonitorHeartbeat" not in settings.by_worker


def test_a_misspelt_metric_is_named_with_the_one_it_may_be() -> None:
    """The wrong name of a long list is named alone."""
    assert mistake(flags={"by_task": "TasksFailed,TaskSucceeded"}) == (
        "--by-task is 'TasksFailed,TaskSucceeded'; it must be `all`, `none` or metrics that can be "
        "split by TaskName (`event-monitor metrics` lists them): 'TaskSucceeded' is none of these "
        "(did you mean 'TasksSucceeded'?)."
    )


def test_a_metric_that_cannot_be_split_so_is_refused() -> None:
    """WorkersOnline knows no task."""
    assert "'WorkersOnline' is none of these" in mistake(flags={"by_task": "WorkersOnline"})


@pytest.mark.parametrize(
    "written",
    [
        "Environment=prod, Team=a=b",
        {"Environment": "prod", "Team": "a=b"},
        ["Environment=prod", "Team=a=b"],
    ],
)
def test_dimensions_can_be_text_mapping_or_list(written: object) -> None:
    """Only the first `=` separates."""
    settings = Settings.load(environ={}, conf={"dimensions": written})

    assert settings.dimensions == (("Environment", "prod"), ("Team", "a=b"))


def test_a_number_is_a_fine_dimension_value() -> None:
    """``{"Shard": 3}`` is meant as text."""
    assert Settings.load(environ={}, conf={"dimensions": {"Shard": 3}}).dimensions == (
        ("Shard", "3"),
    )


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("Environment", "'Environment' has no `=`"),
        ("A=x,A=y", "'A' is given twice"),
        ("=x", "'' is not well-formed"),
        ("A=", "'A' is not well-formed"),
        (":A=x", "':A' is not well-formed"),
        ("A=ä", "'A' is not well-formed"),
        ("TaskName=x", "'TaskName' is a dimension of our own"),
        ({"A": None}, "the value of 'A' is not text"),
        ({"A": True}, "the value of 'A' is not text"),
        ({f"D{number}": "x" for number in range(21)}, "there are 21"),
    ],
)
def test_dimensions_that_cloudwatch_would_refuse_are_refused(written: object, detail: str) -> None:
    """A bad dimension would fail every single datum."""
    assert mistake(conf={"dimensions": written}) == (
        f"app.conf.event_monitor['dimensions'] is {written!r}; it must be up to 20 NAME=VALUE "
        f"pairs of printable ASCII: {detail}."
    )


@pytest.mark.parametrize(
    "written",
    [
        "billing=billing.*|invoice.*, mail=mail.*",
        "billing=billing.*, mail=mail.*, billing=invoice.*",
        {"billing": ["billing.*", "invoice.*"], "mail": "mail.*"},
        {"billing": "billing.*|invoice.*", "mail": ("mail.*",)},
    ],
)
def test_groups_can_be_text_or_mapping(written: object) -> None:
    """Several globs are joined by `|`, or repeat the name, or are a list."""
    settings = Settings.load(environ={}, conf={"groups": written})

    assert settings.groups == (("billing", ("billing.*", "invoice.*")), ("mail", ("mail.*",)))


@pytest.mark.parametrize("written", ["billing", "=a.*", "billing=", {"a": []}, {"a": 5}, 5])
def test_groups_without_name_or_globs_are_refused(written: object) -> None:
    """Half a group is a mistake."""
    assert "it must be NAME=GLOB pairs, several globs joined by `|`" in mistake(
        conf={"groups": written}
    )


@pytest.mark.parametrize(
    "written",
    [
        "shop.poll=60,shop.office=0,30 8-17 * *  mon,fri, shop.gone=off",
        "shop.poll=60, shop.office=0, 30 8-17 * * mon, fri, shop.gone=off",  # as it is shown
        ["shop.poll=60", "shop.office=0,30 8-17 * * mon,fri", "shop.gone=off"],
        {"shop.poll": 60, "shop.office": "0,30 8-17 * * mon,fri", "shop.gone": "off"},
    ],
)
def test_schedules_can_be_text_mapping_or_list(written: object) -> None:
    """A crontab has commas of its own: a part without `=` belongs to the one before."""
    settings = Settings.load(environ={}, conf={"schedules": written})

    assert settings.schedules == (
        ("shop.poll", "60"),
        ("shop.office", "0,30 8-17 * * mon,fri"),
        ("shop.gone", "off"),
    )


def test_a_task_may_have_several_schedules() -> None:
    """The name is repeated."""
    settings = Settings.load(environ={}, flags={"schedules": "a=60,a=0 3 * * *,a=60"})

    assert settings.schedules == (("a", "60"), ("a", "0 3 * * *"))


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("shop.poll", "'shop.poll' has no `=`"),
        ("=60", "'60' has no name"),
        ("a=0 3 * *", "'0 3 * *' of 'a' is neither seconds"),
        ("a=0", "'0' of 'a' is neither seconds"),
        ("a=nan", "'nan' of 'a' is neither seconds"),
        ("a=1e9", "'1e9' of 'a' is neither seconds"),
        ({"a": True}, "True of 'a' is neither seconds"),
        ({"a": None}, "None of 'a' is neither seconds"),
        ({5: 60}, "5 is not text"),
    ],
)
def test_schedules_that_are_none_are_refused(written: object, detail: str) -> None:
    """With the part that is wrong."""
    assert detail in mistake(conf={"schedules": written})


def test_every_setting_can_be_written_as_it_is_shown() -> None:
    """What ``event-monitor settings`` prints can be put into a variable."""
    # Given
    settings = Settings(
        dimensions=(("Environment", "prod"), ("Team", "a=b")),
        interval=2.5,
        by_exception=True,
        include_tasks=("a.*", "b"),
        groups=(("billing", ("billing.*", "invoice.*")), ("mail", ("mail.*",))),
        by_worker=("WorkersOnline",),
        series_budget=500,
        schedules=(("a", "0,30 3 * * *"), ("b", "60")),
    )

    # When
    environ = {option.environ: text_of(getattr(settings, option.name)) for option in options()}

    # Then
    assert environ["EVENT_MONITOR_INTERVAL"] == "2.5"
    assert environ["EVENT_MONITOR_GROUPS"] == "billing=billing.*|invoice.*,mail=mail.*"
    assert Settings.load(environ=environ) == settings


def test_a_url_that_is_wrong_is_not_shown() -> None:
    """It may hold a password, and the sentence goes to a log."""
    sentence = mistake(environ={"EVENT_MONITOR_MANAGEMENT_URL": "guest:HUNTER2@h:15672"})

    assert sentence == (
        "EVENT_MONITOR_MANAGEMENT_URL is not shown, as it may hold a password; "
        "it must be an http:// or https:// URL."
    )


@pytest.mark.parametrize("written", [500, 500.0, "500", Decimal(500)])
def test_a_whole_number_may_be_of_any_numeric_type(written: object) -> None:
    """Configuration files have their own types."""
    assert Settings.load(environ={}, conf={"series_budget": written}).series_budget == 500


@pytest.mark.parametrize(
    "written",
    ["celery=5:50.5, *=100:1000", {"celery": "5:50.5", "*": (100, 1_000)}],
)
def test_limits_can_be_text_or_mapping(written: object) -> None:
    """Warning and critical, by glob."""
    settings = Settings.load(environ={}, conf={"queue_length_limits": written})

    assert settings.queue_length_limits == (("celery", (5.0, 50.5)), ("*", (100.0, 1_000.0)))


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("celery=5:1", ": 'celery' needs a warning no higher than its critical"),
        ("=1:5", ": '' needs a warning no higher than its critical"),
        ("celery=1:inf", ": 'celery' needs a warning no higher than its critical"),
        ({"celery": (True, 5)}, ""),
        ({"celery": 5}, ""),
        ({"celery": (1, 2, 3)}, ""),
        ({7: (1, 2)}, ": 7 is not text"),
    ],
)
def test_limits_that_make_no_sense_are_refused(written: object, detail: str) -> None:
    """Two numbers, the lower one first."""
    assert mistake(conf={"queue_length_limits": written}) == (
        f"app.conf.event_monitor['queue_length_limits'] is {written!r}; it must be "
        f"GLOB=WARNING:CRITICAL pairs of numbers; the first that matches{detail}."
    )


@pytest.mark.parametrize(
    "address",
    [
        "user:hunter2@host:9",
        "http://user:hunter2@host:9",
        "user:hunter2@127.0.0.1:9808",
        "user:hunter2,@host:9",
        "hunter2@host:9",
    ],
)
@pytest.mark.parametrize("setting", ["http", "http_hosts", "http_proxies", "region"])
def test_user_information_in_an_address_is_not_shown(setting: str, address: str) -> None:
    """Though none is asked for: whoever knows other URLs writes it, and a log keeps it."""
    with pytest.raises(SettingsError) as raised:
        Settings.load(environ={f"EVENT_MONITOR_{setting.upper()}": address})
    with pytest.raises(SettingsError) as raised_too:
        Settings.load(conf={setting: [address]}, environ={})

    said = str(raised.value)
    assert said.startswith(f"EVENT_MONITOR_{setting.upper()} is not shown, as it may hold a ")
    assert "hunter2" not in said
    assert "hunter2" not in str(raised_too.value)
