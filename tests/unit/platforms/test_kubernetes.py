"""Kubernetes: manifests by the rules of the published schema (v1.32), and by our own.

Kubernetes itself is not asked. `RULES` has, for each object that we write, the fields that are
required and those that exist.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from event_monitor.errors import SettingsError
from event_monitor.platforms.kubernetes import kubernetes_files
from event_monitor.provision.inputs import USER
from event_monitor.settings import Settings

from .making import HARD, monitor, require_accepted, without_secrets

Manifest = dict[str, Any]

ROLE = "arn:aws:iam::123456789012:role/monitors/celery"
MOUNT = "/var/lib/event-monitor"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
QUANTITY = re.compile(r"\d+(m|Ki|Mi|Gi)?")
META = {"name", "labels", "annotations"}
PROBE = {"exec", "httpGet", "initialDelaySeconds", "periodSeconds", "timeoutSeconds"} | {
    "failureThreshold"
}
#: Object → fields that it must have, fields that it may have.
RULES: dict[str, tuple[set[str], set[str]]] = {
    "ServiceAccount": ({"apiVersion", "kind", "metadata"}, {"automountServiceAccountToken"}),
    "PersistentVolumeClaim": ({"apiVersion", "kind", "metadata", "spec"}, set()),
    "claim spec": ({"accessModes", "resources"}, {"storageClassName"}),
    "Deployment": ({"apiVersion", "kind", "metadata", "spec"}, set()),
    "deployment spec": ({"selector", "template"}, {"replicas", "strategy"}),
    "pod spec": (
        {"containers"},
        {"serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "volumes"}
        | {"terminationGracePeriodSeconds", "securityContext"},
    ),
    "pod securityContext": (
        set(),
        {"runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup", "seccompProfile"},
    ),
    "container": (
        {"name", "image"},
        {"command", "envFrom", "env", "ports", "livenessProbe", "readinessProbe", "resources"}
        | {"securityContext", "volumeMounts"},
    ),
    "securityContext": (
        set(),
        {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"},
    ),
    "probe": ({"periodSeconds", "timeoutSeconds"}, PROBE),
    "httpGet": ({"port"}, {"path"}),
    "volumeMount": ({"name", "mountPath"}, set()),
    "volume": ({"name"}, {"emptyDir", "persistentVolumeClaim"}),
}


def require_fields(kind: str, found: Manifest) -> None:
    """Fail if a required field is missing, or one is there that the API would not know."""
    required, optional = RULES[kind]
    assert required <= set(found) <= required | optional, kind


def manifests(settings: Settings = HARD, **choices: Any) -> dict[str, Manifest]:
    """Return kind → manifest, each checked by the rules."""
    text = kubernetes_files(monitor(settings), **choices).files["event-monitor.yaml"]
    found = {document["kind"]: document for document in yaml.safe_load_all(text)}
    for kind, document in found.items():
        require_fields(kind, document)
        assert set(document["metadata"]) <= META
        assert NAME.fullmatch(document["metadata"]["name"])
        assert document["apiVersion"] == ("apps/v1" if kind == "Deployment" else "v1")
    return found


def pod_of(found: dict[str, Manifest]) -> Manifest:
    """Return the specification of the Deployment's pods, checked by the rules."""
    deployment = found["Deployment"]["spec"]
    require_fields("deployment spec", deployment)
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"].items() <= labels.items()
    shape = deployment["replicas"], deployment["strategy"]
    together = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}
    assert shape in ((2, together), (1, {"type": "Recreate"}))
    pod: Manifest = deployment["template"]["spec"]
    require_fields("pod spec", pod)
    require_fields("pod securityContext", pod["securityContext"])
    for volume in pod["volumes"]:
        require_fields("volume", volume)
        assert NAME.fullmatch(volume["name"])
        assert len(volume) == 2, "a volume has one source"
    return pod


def container_of(pod: Manifest) -> Manifest:
    """Return its only container, checked by the rules."""
    (container,) = pod["containers"]
    require_fields("container", container)
    require_fields("securityContext", container["securityContext"])
    for probe in (container["livenessProbe"], container["readinessProbe"]):
        require_fields("probe", probe)
        assert ("exec" in probe) is not ("httpGet" in probe)
        assert probe["timeoutSeconds"] < probe["periodSeconds"]
    for mount in container["volumeMounts"]:
        require_fields("volumeMount", mount)
    amounts = container["resources"]
    assert set(amounts) <= {"requests", "limits"}
    assert all(QUANTITY.fullmatch(text) for part in amounts.values() for text in part.values())
    assert isinstance(container, dict)
    return container


def test_nothing_runs_as_root_or_writes_to_the_root_file_system() -> None:
    pod = pod_of(manifests())
    container = container_of(pod)

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"state": MOUNT, "tmp": "/tmp"}
    assert {volume["name"] for volume in pod["volumes"]} == set(mounted)
    assert pod["terminationGracePeriodSeconds"] == 55  # the drain, and ten seconds


def test_two_pods_take_turns_unless_the_state_is_for_one() -> None:
    """Of one volume, of one durable queue; and where nothing keeps the second from publishing."""
    assert manifests(Settings())["Deployment"]["spec"]["replicas"] == 2
    for alone in (
        manifests(persistent=True),
        manifests(Settings(leader="off")),
        manifests(Settings(durable_queue="events", state_dir="/var/lib/event-monitor")),
    ):
        assert alone["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
        assert pod_of(alone)


@pytest.mark.parametrize("settings", [HARD, Settings()], ids=["hard", "defaults"])
def test_the_pod_has_these_settings(settings: Settings) -> None:
    """Read back as Kubernetes hands them over, in a folder that nobody else can write to."""
    entries = container_of(pod_of(manifests(settings)))["env"]
    assert all(set(entry) == {"name", "value"} for entry in entries)
    assert all(VARIABLE.fullmatch(entry["name"]) for entry in entries)
    # `$$` is a `$`, and `$(NAME)` would be expanded.
    assert not [entry for entry in entries if "$" in entry["value"].replace("$$", "")]
    variables = {entry["name"]: entry["value"].replace("$$", "$") for entry in entries}

    expected = without_secrets(settings, state_dir=f"{MOUNT}/state")
    assert Settings.load(environ=variables) == expected


def test_secrets_come_from_a_secret() -> None:
    """Neither on a command line nor in the manifests."""
    files = kubernetes_files(monitor()).files
    container = container_of(pod_of(manifests()))

    assert container["envFrom"] == [{"secretRef": {"name": "event-monitor"}}]
    assert {entry["name"] for entry in container["env"]}.isdisjoint(
        {"EVENT_MONITOR_BROKER", "EVENT_MONITOR_MANAGEMENT_URL", "PAGE_PASSWORD"}
    )
    assert "QXYZ" not in str(files)
    require_accepted(container["command"])


def test_probes_ask_the_sign_of_life_and_over_http_where_there_is_a_page() -> None:
    """A page that hangs makes the pod not ready, and restarts nothing."""
    container = container_of(pod_of(manifests()))
    require_accepted(container["livenessProbe"]["exec"]["command"])
    get = container["readinessProbe"]["httpGet"]
    require_fields("httpGet", get)
    assert get == {"path": "/celery/health", "port": "http"}
    assert container["ports"] == [{"name": "http", "containerPort": 9808}]

    for http in ("", "127.0.0.1:9808"):  # a kubelet comes from outside
        container = container_of(pod_of(manifests(Settings(http=http))))
        assert container["readinessProbe"]["exec"] == container["livenessProbe"]["exec"]
        assert "ports" not in container


def test_the_service_account_takes_a_role() -> None:
    """IRSA; the pod is handed no token of Kubernetes' own."""
    account = manifests(role=ROLE)["ServiceAccount"]
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": ROLE}
    assert account["automountServiceAccountToken"] is False

    found = manifests()
    assert "annotations" not in found["ServiceAccount"]["metadata"]
    assert pod_of(found)["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"]


def test_the_state_is_the_pods_or_outlives_it() -> None:
    """Large enough for what may be in it: spool, history and some room."""
    state, _ = pod_of(manifests())["volumes"]
    assert state == {"name": "state", "emptyDir": {"sizeLimit": "576Mi"}}

    found = manifests(persistent=True)
    claim = found["PersistentVolumeClaim"]
    require_fields("claim spec", claim["spec"])
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "576Mi"}},
    }
    state, _ = pod_of(found)["volumes"]
    assert state["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}


def test_what_was_counted_of_a_durable_queue_outlives_the_pod() -> None:
    """Else its messages would be acknowledged, and their counts gone."""
    durable = Settings(durable_queue="events", state_dir=MOUNT)
    assert "PersistentVolumeClaim" in manifests(durable)


@pytest.mark.parametrize("name", ["shop-monitor", "no"])
def test_two_monitors_of_one_namespace_share_nothing(name: str) -> None:
    """No object, label or secret; YAML reads `no` as a name, too."""
    made = kubernetes_files(monitor(name=name), persistent=True)
    assert set(made.files) == {f"{name}.yaml", f"{name}.env"}

    found = {
        document["kind"]: document for document in yaml.safe_load_all(made.files[f"{name}.yaml"])
    }
    assert {document["metadata"]["name"] for document in found.values()} == {name}
    pod = pod_of(found)
    labels = found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert labels == {"app.kubernetes.io/name": name}
    assert pod["serviceAccountName"] == name
    assert container_of(pod)["envFrom"] == [{"secretRef": {"name": name}}]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": name}
    assert f"create secret generic {name} --from-env-file={name}.env" in made.notes[-1]


@pytest.mark.parametrize("image", ["", "my image", "shop:1\nkind: Pod", '"', "SHOP", "$(id)"])
def test_an_image_that_cannot_be_is_refused(image: str) -> None:
    with pytest.raises(SettingsError, match=r"^--image is .*; it is like registry"):
        kubernetes_files(monitor(), image=image)


@pytest.mark.parametrize("role", ["monitor", "arn:aws:iam::1:role/x", f"{ROLE}\n", f"{ROLE} x"])
def test_a_role_that_cannot_be_is_refused(role: str) -> None:
    with pytest.raises(SettingsError, match=r"^--role is .*; it is like arn:aws:iam"):
        kubernetes_files(monitor(), role=role)
