"""CloudFormation, ECS: scaling of the workers' services, and the monitor's own. Pure."""

from __future__ import annotations

from ..inputs import STATE_INPUTS
from ..model import ScaledService
from ..policy import ECS_TRUST_POLICY
from ..scaling import SCALABLE_DIMENSION, SERVICE_NAMESPACE
from ..stack import Stack
from ..task_definition import (
    STATE_VOLUME,
    Container,
    has_state,
    monitor_service,
    monitor_task,
)
from .api import scaling_policy
from .cloudformation_alarms import alarm_id, alarm_resource
from .cloudformation_values import (
    Resource,
    Resources,
    arn_of,
    camel_case,
    if_else,
    no_value,
    ref,
    resource,
)
from .local_name import logical_id

__all__ = ["monitor_resources", "scaling_resources", "service_parameter"]


def scaling_resources(stack: Stack, service: ScaledService) -> Resources:
    """Yield the target of a service, its policies and the alarms that trigger them."""
    target_id = _scaling_id("WorkersTarget", service)
    fewest, _ = stack.workers
    target = resource(
        "AWS::ApplicationAutoScaling::ScalableTarget",
        ServiceNamespace=SERVICE_NAMESPACE,
        ScalableDimension=SCALABLE_DIMENSION,
        ResourceId={"Fn::Sub": f"service/${{WorkersCluster}}/${{{service_parameter(service)}}}"},
        MinCapacity=fewest,
        MaxCapacity=ref("WorkersTo"),
    )
    yield target_id, target
    for policy in service.policies:
        policy_id = _scaling_id(f"Scale{policy.key.capitalize()}", service)
        yield (
            policy_id,
            resource(
                "AWS::ApplicationAutoScaling::ScalingPolicy",
                PolicyName=policy.name,
                ScalingTargetId=ref(target_id),
                **scaling_policy(policy),
            ),
        )
        if policy.alarm is not None:
            trigger = alarm_resource(
                policy.alarm, stack, AlarmActions=[ref(policy_id)], OKActions=[]
            )
            yield alarm_id(policy.alarm), trigger


def _scaling_id(kind: str, service: ScaledService) -> str:
    return f"{kind}{logical_id(service.queue) if service.service else ''}"


def service_parameter(service: ScaledService) -> str:
    """Return the parameter for the name of the service."""
    return _scaling_id("WorkersService", service)


# -- the monitor's service -------------------------------------------------------------------------


def monitor_resources(stack: Stack, container: Container) -> Resources:
    """Yield role, task definition and service of one monitor."""

    def value(name: str) -> object:
        return ref(camel_case(name))

    yield "MonitorRole", _role(stack)
    task = _capitalized(
        monitor_task(
            container,
            value,
            role=arn_of("MonitorRole"),
            region=ref("AWS::Region"),
            environment=stack.environment,
            secrets=stack.secrets,
        )
    )
    if has_state(container):
        task["Volumes"] = [_volume(mount["sourceVolume"]) for mount in container["mountPoints"]]
    yield "MonitorTask", resource("AWS::ECS::TaskDefinition", **task)
    # One task, and never two at once: a second monitor would count everything again.
    service = _capitalized(monitor_service(container, value, task=ref("MonitorTask")))
    yield "MonitorService", resource("AWS::ECS::Service", **service)


def _role(stack: Stack) -> Resource:
    permissions: dict[str, object] = {"ManagedPolicyArns": [ref("MonitorPolicy")]}
    if stack.policy is None:
        document = stack.container_policy
        permissions = {"Policies": [{"PolicyName": "monitor", "PolicyDocument": document}]}
    return resource("AWS::IAM::Role", AssumeRolePolicyDocument=ECS_TRUST_POLICY, **permissions)


def _volume(name: str) -> dict[str, object]:
    if name != STATE_VOLUME:
        return {"Name": name}
    file_system, access_point = (ref(camel_case(value.name)) for value in STATE_INPUTS)
    access = if_else("HasAccessPoint", {"AccessPointId": access_point}, no_value())
    configuration = {
        "FilesystemId": file_system,
        "TransitEncryption": "ENABLED",
        "AuthorizationConfig": access,
    }
    return {
        "Name": name,
        "EFSVolumeConfiguration": if_else("HasState", configuration, no_value()),
    }


def _capitalized(parameters: dict[str, object]) -> dict[str, object]:
    """Return ECS's keys as CloudFormation spells them: ``stopTimeout`` is ``StopTimeout``.

    Options of a log driver have hyphens and stay as they are.
    """

    def spelt(value: object) -> object:
        if isinstance(value, dict):
            return _capitalized(value)
        return [spelt(item) for item in value] if isinstance(value, list) else value

    return {
        name if "-" in name else name[0].upper() + name[1:]: spelt(item)
        for name, item in parameters.items()
    }
