"""Prometheus rules: promtool takes what `provision prometheus` writes, and it alerts in time."""

from __future__ import annotations

import json
from pathlib import Path

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.render.prometheus import prometheus_files
from event_monitor.settings import Settings

from ..support.prometheus import promtool

_OF_TASK = '{job="celery",name="pay",queue_name="celery"}'
_OF_FAILURE = '{job="celery",name="pay",queue_name="celery",exception=""}'

#: Alert → series that set it off, each a name and its values at the minutes.
BAD = {
    "CeleryMonitorDown": {'up{job="celery"}': "1 0x20"},
    "CeleryBrokerLost": {'celery_broker_connected{job="celery"}': "1 0x20"},
    "CeleryTooFewWorkers": {'celery_workers_online{job="celery"}': "1 0x20"},
    "CeleryWorkersLost": {'celery_workers_lost_total{job="celery"}': "0x10 1x10"},
    "CeleryTasksOrphaned": {'celery_tasks_orphaned_total{job="celery"}': "0x10 3x10"},
    "CeleryTasksFail": {
        f"celery_task_failed_total{_OF_FAILURE}": "0x10 2x10",
        f"celery_task_succeeded_total{_OF_TASK}": "0+1x20",
    },
    "CeleryOldestMessage": {
        'celery_oldest_message_age_seconds{job="celery",queue_name="mail"}': "0 601x20"
    },
    "CeleryQueueLength": {'celery_queue_length{job="celery",queue_name="mail"}': "0 10001x20"},
}
#: What looks similar and is well: a deploy, a single failure of many, a burst that is over.
WELL = {
    'up{job="celery"}': "1x20",
    'celery_broker_connected{job="celery"}': "1x18 0x1",
    'celery_workers_online{job="celery"}': "1x20",
    'celery_worker_up{job="celery",worker="w@old"}': "1x10 0x4 _x10",
    'celery_workers_lost_total{job="celery"}': "0x20",
    f"celery_task_failed_total{_OF_FAILURE}": "0x10 1x10",
    f"celery_task_succeeded_total{_OF_TASK}": "0+1x20",
    'celery_oldest_message_age_seconds{job="celery",queue_name="mail"}': "0x18 700x1",
    'celery_queue_length{job="celery",queue_name="mail"}': "20000x5 0x15",
}


def test_promtool_takes_both_files(tmp_path: Path) -> None:
    """A server would, too."""
    for name, text in prometheus_files(Settings(), ProvisionOptions()).items():
        (tmp_path / name).write_text(text)
    assert promtool("check", "rules", str(tmp_path / "prometheus-rules.yml"))[0] == 0
    code, said = promtool("check", "config", str(tmp_path / "prometheus-scrape.yml"))
    assert code == 0, said


def test_each_goes_off_for_what_it_is_for_and_none_where_all_is_well(tmp_path: Path) -> None:
    """After twenty minutes of each."""
    files = prometheus_files(Settings(), ProvisionOptions())
    (tmp_path / "rules.yml").write_text(files["prometheus-rules.yml"])
    cases = [_case({'up{job="celery"}': "1x20", **bad}, {alert}) for alert, bad in BAD.items()]
    cases.append(_case(WELL, set()))
    (tmp_path / "tests.json").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases})
    )
    code, said = promtool("test", "rules", str(tmp_path / "tests.json"))
    assert code == 0, said


def _case(series: dict[str, str], firing: set[str]) -> dict[str, object]:
    """Return a case of promtool's: which of the alerts fire in the end."""
    names = f'ALERTS{{alertstate="firing",alertname=~"{"|".join(BAD)}"}}'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count by (alertname) ({names})",
                "eval_time": "19m",
                "exp_samples": [
                    {"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)
                ],
            }
        ],
    }
