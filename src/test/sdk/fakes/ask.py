"""Asks the fakes of instance metadata and Auto Scaling as AWS' own Python SDK does; prints what came as JSON.

Arguments: the two endpoints. Between two lines of input the test changes the fakes.
"""

import json
import os
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import boto3  # noqa: E402
import botocore.config  # noqa: E402
import botocore.exceptions  # noqa: E402
import botocore.utils  # noqa: E402

imds, endpoint = sys.argv[1:3]
INSTANCE = "i-0123456789abcdef0"
GROUP = "workers"


def tell(**found):
    print(json.dumps(found, default=str), flush=True)


def status(method, path, headers):
    request = urllib.request.Request(imds + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(), e.headers


def code(call, **parameters):
    try:
        return call(**parameters)["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as e:
        return "{Code}: {Message}".format(**e.response["Error"])


# Metadata, by botocore's own fetchers.
settings = {"ec2_metadata_service_endpoint": imds}
credentials = botocore.utils.InstanceMetadataFetcher(
    timeout=5, num_attempts=2, base_url=imds, config=settings
).retrieve_iam_role_credentials()
region = botocore.utils.InstanceMetadataRegionFetcher(timeout=5, num_attempts=2, base_url=imds, config=settings).retrieve_region()
ttl = "X-aws-ec2-metadata-token-ttl-seconds"
token = status("PUT", "/latest/api/token", {ttl: "60"})
tell(
    role=credentials["role_name"],
    key=credentials["access_key"],
    region=region,
    noTtl=status("PUT", "/latest/api/token", {})[0],
    badTtl=status("PUT", "/latest/api/token", {ttl: "21601"})[0],
    forwarded=status("PUT", "/latest/api/token", {ttl: "60", "X-Forwarded-For": "1.2.3.4"})[0],
    noToken=status("GET", "/latest/meta-data/instance-id", {})[0],
    wrongToken=status("GET", "/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": "no"})[0],
    left=status("GET", "/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": token[1]})[2][ttl],
    date=token[2]["Date"],
    spot=status("GET", "/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token[1]})[0],
)

# Auto Scaling, by boto3's client of the public service model.
client = boto3.client(
    "autoscaling",
    region_name=region,
    endpoint_url=endpoint,
    aws_access_key_id=credentials["access_key"],
    aws_secret_access_key=credentials["secret_key"],
    aws_session_token=credentials["token"],
    config=botocore.config.Config(retries={"mode": "standard", "max_attempts": 3}),
)
action = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "drain", "InstanceId": INSTANCE}
instances = client.describe_auto_scaling_instances(InstanceIds=[INSTANCE, "i-0000000000000000f"])["AutoScalingInstances"]
hooks = client.describe_lifecycle_hooks(AutoScalingGroupName=GROUP)["LifecycleHooks"]
tell(
    instances=instances,
    hooks=hooks,
    early=code(client.record_lifecycle_action_heartbeat, **action),
    noGroup=code(client.describe_lifecycle_hooks, AutoScalingGroupName="nowhere"),
    noHook=code(client.record_lifecycle_action_heartbeat, **{**action, "LifecycleHookName": "none"}),
    nobody=code(client.set_instance_health, InstanceId="i-0000000000000000f", HealthStatus="Unhealthy"),
    badHealth=code(client.set_instance_health, InstanceId=INSTANCE, HealthStatus="Sick"),
    badResult=code(client.complete_lifecycle_action, LifecycleActionResult="MAYBE", **action),
    badToken=code(
        client.complete_lifecycle_action,
        AutoScalingGroupName=GROUP,
        LifecycleHookName="drain",
        LifecycleActionResult="CONTINUE",
        LifecycleActionToken="00000000-0000-0000-0000-000000000000",
    ),
)

sys.stdin.readline()  # The instance waits now, and the next call is throttled once.
tell(
    state=client.describe_auto_scaling_instances(InstanceIds=[INSTANCE])["AutoScalingInstances"][0]["LifecycleState"],
    heartbeat=code(client.record_lifecycle_action_heartbeat, **action),
    completed=code(client.complete_lifecycle_action, LifecycleActionResult="CONTINUE", **action),
    again=code(client.complete_lifecycle_action, LifecycleActionResult="CONTINUE", **action),
)

sys.stdin.readline()  # The instance is in service, in the grace period of its group.
health = {"InstanceId": INSTANCE, "HealthStatus": "Unhealthy"}


def standing():
    instance = client.describe_auto_scaling_instances(InstanceIds=[INSTANCE])["AutoScalingInstances"][0]
    return "{HealthStatus} {LifecycleState}".format(**instance)


tell(
    kept=code(client.set_instance_health, InstanceId=INSTANCE, HealthStatus="Healthy", ShouldRespectGracePeriod=False),
    healthy=standing(),
    marked=code(client.set_instance_health, **health),
    graced=standing(),
    insisted=code(client.set_instance_health, ShouldRespectGracePeriod=False, **health),
    unhealthy=standing(),
)

sys.stdin.readline()  # No policy allows it.
tell(denied=code(client.set_instance_health, **health))
