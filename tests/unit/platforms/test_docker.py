"""Docker: an image that is not root and holds no secret, and a service that writes to volumes only.

No daemon is asked: the files are read by the rules of the Dockerfile reference and of the Compose
specification.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from event_monitor.errors import SettingsError
from event_monitor.platforms.docker import docker_files
from event_monitor.platforms.monitor import Monitor, Package
from event_monitor.provision.inputs import USER
from event_monitor.settings import Settings

from .making import HARD, monitor, require_accepted, without_secrets

STATE = "/var/lib/event-monitor"


def instructions(text: str) -> list[tuple[str, str]]:
    """Return keyword and arguments of each instruction; a backslash continues a line."""
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line[:1] not in "#"]


def interpolated(text: str) -> str:
    """Return a value as Compose does without variables; a single $ would need one."""
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


def service_of(files: Mapping[str, str]) -> dict[str, Any]:
    """Return the only service."""
    document = yaml.safe_load(files["compose.yaml"])
    assert set(document) == {"services", "volumes"}
    (service,) = document["services"].values()
    assert isinstance(service, dict)
    return service


def test_the_image_is_not_root_and_holds_no_secret() -> None:
    files = docker_files(monitor()).files
    found = instructions(files["Dockerfile"])
    last = dict(found)

    assert found[0] == ("FROM", f"python:{'.'.join(map(str, sys.version_info[:2]))}-slim")
    assert {keyword for keyword, _ in found} <= {
        *("FROM", "WORKDIR", "RUN", "COPY", "USER", "ENV", "HEALTHCHECK", "CMD")
    }
    assert last["USER"] == f"{USER}:{USER}"
    assert last["ENV"] == "EVENT_MONITOR_APP=proj.celery:app"
    assert [text for keyword, text in found if keyword == "ENV"] == [last["ENV"]]
    assert "QXYZ" not in str(files)
    # Exec form throughout: no shell that would be the process with the signals.
    assert all(json.loads(text) for keyword, text in found if keyword in ("RUN", "CMD"))
    require_accepted(json.loads(last["CMD"]))
    flags, check = last["HEALTHCHECK"].split("CMD ")
    assert all(re.fullmatch(r"--[a-z-]+=\d+s?", flag) for flag in shlex.split(flags))
    require_accepted(json.loads(check))


def test_the_state_dir_is_made_for_the_user_before_he_is_one() -> None:
    """A named volume takes over its owner."""
    keywords = instructions(docker_files(monitor()).files["Dockerfile"])
    made = ("RUN", f'["install", "-d", "-o", "{USER}", "-g", "{USER}", "{STATE}"]')

    assert keywords.index(made) < keywords.index(("USER", f"{USER}:{USER}"))


@pytest.mark.parametrize("settings", [HARD, Settings()], ids=["hard", "defaults"])
def test_the_service_has_these_settings(settings: Settings) -> None:
    """Read back from its variables as Compose hands them over."""
    environment = service_of(docker_files(monitor(settings)).files)["environment"]
    variables = {name: interpolated(value) for name, value in environment.items()}

    assert Settings.load(environ=variables) == without_secrets(settings, state_dir=STATE)


def test_the_service_writes_to_its_volumes_only() -> None:
    """By the Compose specification; secrets come from a file."""
    files = docker_files(monitor()).files
    service = service_of(files)

    assert {key: value for key, value in service.items() if key != "environment"} == {
        "build": {"context": ".", "dockerfile": "Dockerfile"},
        "env_file": "event-monitor.env",
        "read_only": True,
        "tmpfs": ["/tmp"],
        "volumes": [{"type": "volume", "source": "event-monitor", "target": STATE}],
        "ports": ["127.0.0.1:9808:9808"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": "55s",  # the drain, and ten seconds
    }
    assert yaml.safe_load(files["compose.yaml"])["volumes"] == {"event-monitor": {}}
    assert "event-monitor.env" in files
    assert "command" not in service


def test_a_page_on_loopback_has_no_port() -> None:
    """Nobody could reach it; a note says so."""
    made = docker_files(monitor(Settings(http="127.0.0.1:9808")))

    assert "ports" not in service_of(made.files)
    assert any("from within the container only" in note for note in made.notes)


def test_the_build_begins_in_the_projects_folder(tmp_path: Path) -> None:
    """Wherever the files are, and whatever that folder is called."""
    project = tmp_path / "my $hop"
    out = project / "deploy" / "monitor"
    build = service_of(docker_files(Monitor(app="proj", project=project, out=out)).files)["build"]
    assert build == {"context": "../..", "dockerfile": "deploy/monitor/Dockerfile"}

    beside = tmp_path / "infra"
    build = service_of(docker_files(Monitor(app="proj", project=project, out=beside)).files)[
        "build"
    ]
    assert {key: interpolated(value) for key, value in build.items()} == {
        "context": "../my $hop",
        "dockerfile": "../infra/Dockerfile",
    }


@pytest.mark.parametrize(
    ("file", "text", "pip"),
    [
        ("requirements.txt", "", ["-r", "requirements.txt"]),
        ("pyproject.toml", "[build-system]\n", ["."]),
        ("pyproject.toml", "[tool.ruff]\n", []),
        ("", "", []),
    ],
)
def test_pip_installs_what_the_project_names(
    tmp_path: Path, file: str, text: str, pip: list[str]
) -> None:
    """With the monitor in one go, so that versions fit; else a note says what is missing."""
    if file:
        (tmp_path / file).write_text(text)
    made = docker_files(Monitor(app="proj", project=tmp_path, out=tmp_path))

    found = instructions(made.files["Dockerfile"])
    command = next(json.loads(text) for keyword, text in found if keyword == "RUN")
    assert command == ["pip", "install", "--no-cache-dir", *pip, "celery-event-monitor[web]"]
    assert ("COPY", ". .") in found
    assert bool(pip) is not any("requirements.txt" in note for note in made.notes)


@pytest.mark.parametrize("app", ["proj", ""])
def test_a_package_that_no_index_has_comes_from_a_wheel_beside_the_dockerfile(
    tmp_path: Path, app: str
) -> None:
    """Copied from where it is in the folder that is sent; a note says how it is made."""
    package = Package(wheel="celery_event_monitor-0.1.0-py3-none-any.whl", source="/srv/my clone")
    out = tmp_path / "deploy"
    made = docker_files(Monitor(app=app, project=tmp_path, out=out, package=package))

    found = instructions(made.files["Dockerfile"])
    wheel = f"deploy/{package.wheel}" if app else package.wheel
    assert found[2] == ("COPY", json.dumps([wheel, "/wheels/"]))
    command = next(json.loads(text) for keyword, text in found if keyword == "RUN")
    assert command == ["pip", "install", "--no-cache-dir", f"/wheels/{package.wheel}[web]"]
    assert made.notes[0] == (
        f"{package.wheel} has to be beside the Dockerfile: "
        f"pip wheel --no-deps -w {out} '/srv/my clone'"
    )


def test_without_an_app_nothing_of_a_project_is_copied() -> None:
    """The broker's URL is enough then."""
    files = docker_files(monitor(Settings(), app="")).files

    assert set(files) == {"Dockerfile", "compose.yaml", "event-monitor.env"}
    assert not {"COPY", "ENV"} & {keyword for keyword, _ in instructions(files["Dockerfile"])}
    assert service_of(files)["build"]["context"] == "."


def test_the_projects_own_list_of_what_is_ignored_counts(tmp_path: Path) -> None:
    """Docker reads one of the two only, and prefers ours."""
    project = Monitor(app="proj", project=tmp_path, out=tmp_path)
    assert "**/*.env" in docker_files(project).files["Dockerfile.dockerignore"].splitlines()

    (tmp_path / ".dockerignore").write_text("secret\n")
    assert "Dockerfile.dockerignore" not in docker_files(project).files


def test_two_monitors_of_one_machine_are_two_projects() -> None:
    """Compose would take the folder's name, which may be the same for both."""
    files = docker_files(monitor(name="shop")).files
    document = yaml.safe_load(files["compose.yaml"])

    assert document["name"] == "shop"
    assert document["services"]["event-monitor"]["env_file"] == "shop.env"
    assert set(files) >= {"compose.yaml", "shop.env"}


def test_a_path_that_cannot_be_mounted_is_refused() -> None:
    with pytest.raises(SettingsError, match="no volume can be mounted"):
        docker_files(monitor(Settings(state_dir="/data/a:b")))
