"""Prometheus: a real server that scrapes one target each second, and its `promtool`."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from .servers import free_port, kill_group, missing, server_command
from .waiting import wait_until

JOB = "celery"  # what dashboards and alerts of celery-exporter look for

_CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
- job_name: {job}
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """A server in a folder of its own. ``rules`` are those of a rule file, as text."""

    def __init__(self, folder: Path, target_port: int, *, rules: str = "groups: []") -> None:
        command = server_command("prometheus") or missing("prometheus")
        (folder / "rules.yml").write_text(rules)
        config = _CONFIG.format(rules=folder / "rules.yml", job=JOB, port=target_port)
        (folder / "prometheus.yml").write_text(config)
        self.port = free_port()
        with (folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*command, f"--config.file={folder / 'prometheus.yml'}"),
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._is_ready, 60, f"prometheus is ready, see {folder}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill it."""
        kill_group(self._process)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series that the expression gives now."""
        query = urllib.parse.urlencode({"query": expression})
        result = self._get(f"query?{query}")["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def value(self, expression: str) -> float | None:
        """Return the one value of an expression; None if there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=60):
                return True
        except OSError:  # it does not listen yet, or says 503
            return False

    def _get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]


def promtool(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Return the exit code of promtool, and what it says."""
    command = server_command("promtool") or missing("prometheus")
    done = subprocess.run(
        [*command, *arguments], input=stdin, capture_output=True, check=False, timeout=60
    )
    return done.returncode, (done.stdout + done.stderr).decode()
