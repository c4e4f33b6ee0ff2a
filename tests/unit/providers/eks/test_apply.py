from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.events import HostFailed, TaskFinished
from provision.errors import UnreachableError
from provision.model.eks import Access, Addon, NodeGroup, Subnets, Vpc
from provision.providers.eks import names
from provision.providers.eks.aws.calls import Pace
from provision.providers.eks.checks.refusals import refusals
from tests.unit.providers.eks.apply_runs import ADMIN, SMALL, apply, look
from tests.unit.providers.eks.fault_injection import KilledError, Killer

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount

WORKERS = SMALL.node_groups[0]


@pytest.fixture(autouse=True)
def _admin(aws: AwsAccount) -> None:
    make_role(aws, ADMIN.rpartition("/")[2])


@pytest.fixture
def made(aws: AwsAccount) -> AwsAccount:
    """The account with the small cluster, as a run left it."""
    assert apply().outcome.ok
    aws.forget_calls()
    return aws


def make_role(aws: AwsAccount, name: str) -> None:
    """A role that EKS may assume."""
    allowed = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    aws.operator().client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)


def changed(**changes: object) -> Any:
    return SMALL.model_copy(update=changes)


def mutations(aws: AwsAccount) -> list[str]:
    return [call.operation for call in aws.mutating_calls]


def test_an_empty_account_becomes_a_cluster_with_ready_nodes(aws: AwsAccount) -> None:
    applied = apply()

    assert applied.outcome.ok, applied.failures
    inventory = aws.inventory()
    assert [group["status"] for group in inventory["node-group"]] == ["ACTIVE"]
    assert {addon["status"] for addon in inventory["addon"]} == {"ACTIVE"}
    assert inventory["cluster"][0]["accessConfig"]["authenticationMode"] == "API"
    assert applied.steps[-1] == "nodes-ready"


@pytest.mark.usefixtures("aws")
def test_every_resource_carries_our_tags_and_those_of_the_file() -> None:
    assert apply(changed(tags={"team": "platform"})).outcome.ok

    seen = look()
    network = seen.network
    everything: list[Any] = [
        *(*network.vpcs, *network.subnets, *network.internet_gateways, *network.addresses, *network.nats),
        *(*network.route_tables, *seen.roles, seen.cluster, *seen.node_groups, *seen.fargate_profiles),
        *(*seen.addons, *seen.pod_identities, seen.access_entry(ADMIN)),
    ]
    assert len(everything) == 23
    for one in everything:
        assert names.owned("demo", one.tags), one
        assert one.tags["team"] == "platform"


def test_the_second_run_has_nothing_to_do_and_only_reads(made: AwsAccount) -> None:
    assert apply().plan == ()
    assert made.mutating_calls == ()
    assert len(made.calls) < 45


def test_a_node_group_is_scaled_and_labelled_in_place(made: AwsAccount) -> None:
    group = WORKERS.model_copy(
        update={"min": 2, "desired": 2, "labels": {"disk": "ssd"}, "taints": ("a=b:NoSchedule",)}
    )

    applied = apply(changed(node_groups=(group,)))

    assert applied.steps == ["node-groups", "nodes-ready"]
    assert applied.outcome.ok
    assert mutations(made) == ["UpdateNodegroupConfig"]
    found = look().node_group("workers")
    assert found is not None
    assert (found.min, found.desired, found.labels, found.taints) == (
        2,
        2,
        {"disk": "ssd"},
        ("a=b:NoSchedule",),
    )
    assert apply(changed(node_groups=(group,))).plan == ()


@pytest.mark.usefixtures("made")
def test_labels_and_taints_that_left_the_file_leave_the_node_group() -> None:
    assert apply(
        changed(node_groups=(WORKERS.model_copy(update={"labels": {"a": "b"}, "taints": ("a:NoExecute",)}),))
    ).outcome.ok
    assert apply().outcome.ok

    found = look().node_group("workers")
    assert found is not None
    assert (found.labels, found.taints) == ({}, ())


def test_logs_endpoint_and_key_change_one_after_the_other(made: AwsAccount) -> None:
    key = made.operator().client("kms").create_key()["KeyMetadata"]["Arn"]
    wanted = changed(
        logs=("audit",),
        encryption_key=key,
        endpoint=SMALL.endpoint.model_copy(update={"public_cidrs": ("203.0.113.0/24",)}),
    )

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    assert mutations(made) == ["UpdateClusterConfig", "UpdateClusterConfig", "AssociateEncryptionConfig"]
    found = look().cluster
    assert found is not None
    assert (found.logs, found.public_cidrs, found.encryption_key) == (("audit",), ("203.0.113.0/24",), key)
    assert apply(wanted).plan == ()


def test_tags_are_added_to_everything_in_few_calls(made: AwsAccount) -> None:
    wanted = changed(tags={"team": "platform"})

    assert apply(wanted).outcome.ok

    assert mutations(made).count("CreateTags") == 1
    assert apply(wanted).plan == ()


def test_what_left_the_file_is_taken_away_and_nothing_else(made: AwsAccount) -> None:
    make_role(made, "boss")
    boss = ADMIN.replace("platform", "boss")
    wanted = changed(
        access=Access(admins=(boss,)),
        addons=SMALL.addons[:2],
        pod_identities=(),
        fargate_profiles=(),
        node_groups=(WORKERS.model_copy(update={"name": "others"}),),
    )

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    seen = look()
    assert [group.name for group in seen.node_groups] == ["others"]
    assert {addon.name for addon in seen.addons} == {"vpc-cni", "kube-proxy"}
    assert (seen.fargate_profiles, seen.pod_identities) == ((), ())
    assert [role.part for role in seen.roles] == ["role-cluster", "role-nodes"]
    assert seen.access_entry(ADMIN) is None
    assert seen.access_entry(boss) is not None
    assert seen.access_entry(made.user_arn) is not None  # whoever made the cluster
    assert apply(wanted).plan == ()


@pytest.mark.usefixtures("made")
def test_one_nat_gateway_becomes_one_per_zone_and_one_again() -> None:
    assert apply(changed(vpc=Vpc(zones=SMALL.vpc.zones, nat="per-zone"))).outcome.ok
    seen = look().network
    assert len(seen.nats) == 2
    routes = [table.routes["0.0.0.0/0"] for table in seen.route_tables if "private" in table.part]
    assert sorted(routes) == sorted(nat.id for nat in seen.nats)

    assert apply().outcome.ok

    assert len(look().network.nats) == len(look().network.addresses) == 1
    assert apply().plan == ()


@pytest.mark.usefixtures("made")
def test_kubernetes_goes_up_minor_by_minor_with_its_add_ons_and_nodes() -> None:
    wanted = changed(kubernetes="1.36")

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    assert applied.steps == [
        "upgrade-control-plane-1.35",
        "upgrade-addons-1.35",
        "upgrade-node-groups-1.35",
        "upgrade-control-plane-1.36",
        "upgrade-addons-1.36",
        "upgrade-node-groups-1.36",
        "nodes-ready",
    ]
    seen = look()
    assert seen.cluster is not None
    assert (seen.cluster.version, seen.node_groups[0].version) == ("1.36", "1.36")
    proxy = seen.addon("kube-proxy")
    assert proxy is not None
    assert proxy.version.startswith("v1.36.")
    assert apply(wanted).plan == ()


def test_existing_subnets_are_used_and_nothing_in_their_vpc_is_touched(aws: AwsAccount) -> None:
    ec2 = aws.operator().client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ids = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate(SMALL.vpc.zones)
    )
    wanted = changed(vpc=Vpc(subnets=Subnets(private=ids)))

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    assert not [call for call in aws.mutating_calls if call.service == "ec2"]
    found = look(wanted).cluster
    assert found is not None
    assert set(found.subnets) == set(ids)
    assert apply(wanted).plan == ()


def test_throttled_refused_and_lost_calls_are_tried_again(aws: AwsAccount) -> None:
    aws.states.throttle("CreateSubnet", 3)
    aws.states.propagate_roles_late(2)
    aws.states.lose_requests("CreateRole", 1)
    aws.states.lose_replies("CreateNodegroup", 1)
    aws.states.lose_replies("CreateNatGateway", 1)

    applied = apply()

    assert applied.outcome.ok, applied.failures
    assert len(look().network.nats) == 1
    assert any("AWS knows a new role" in note for note in applied.notes)


def test_what_was_made_although_its_answer_was_lost_is_not_made_again(aws: AwsAccount) -> None:
    assert apply().outcome.ok
    expected, operations = aws.inventory(), {call.operation for call in aws.mutating_calls}
    aws.reset()
    make_role(aws, ADMIN.rpartition("/")[2])
    for operation in operations:
        aws.states.lose_replies(operation, 1)

    applied = apply()

    assert applied.outcome.ok, applied.failures
    assert aws.inventory() == expected


def test_a_zone_without_room_is_left_to_the_nodes(aws: AwsAccount) -> None:
    aws.states.fill_zone("eu-central-1b")
    wanted = changed(vpc=Vpc(zones=("eu-central-1a", "eu-central-1b", "eu-central-1c")))

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    assert any("no room for control planes in eu-central-1b" in note for note in applied.notes)
    assert apply(wanted).plan == ()


def test_too_few_zones_with_room_are_said_with_those_that_have_it(aws: AwsAccount) -> None:
    aws.states.fill_zone("eu-central-1b")

    applied = apply()

    assert applied.outcome.failed_steps == ("cluster",)
    assert "eu-central-1c" in applied.failures[0].fix


def test_a_node_group_that_never_worked_is_told_and_made_anew(aws: AwsAccount) -> None:
    aws.states.fail_nodegroup("workers", "NodeCreationFailure", "instances failed to join")

    applied = apply()

    failure = next(one for one in applied.failures if one.step == "node-groups")
    assert failure.lines[0].startswith("NodeCreationFailure: instances failed to join")
    assert "NAT gateway" in failure.fix
    assert any("did not join" in note for note in applied.notes)
    aws.states.nodegroup_failures.clear()
    again = apply()
    assert "it is deleted and created again" in again.plan[0].reasons[0].what
    assert again.outcome.ok, again.failures
    assert apply().plan == ()


def test_an_add_on_that_never_worked_is_told_and_made_anew(aws: AwsAccount) -> None:
    aws.states.fail_addon("coredns", "InsufficientNumberOfReplicas")

    applied = apply()

    assert [failure.host for failure in applied.failures] == ["addon coredns"]
    assert "its pods do not run" in applied.failures[0].cause
    aws.states.addon_failures.clear()
    assert apply().outcome.ok
    assert apply().plan == ()


def test_an_add_on_that_stays_degraded_is_no_success(aws: AwsAccount) -> None:
    aws.states.fail_addon("coredns", "InsufficientNumberOfReplicas", status="DEGRADED")

    assert apply().outcome.failed_steps == ("addons",)
    assert apply().steps == ["addons"]


def test_expired_credentials_stop_the_run_and_the_next_one_goes_on(aws: AwsAccount) -> None:
    aws.states.expire_credentials(60)

    applied = apply()

    assert not applied.outcome.ok
    assert {failure.cause for failure in applied.failures} == {"the AWS credentials have expired"}
    with pytest.raises(UnreachableError, match="expired"):
        look()
    aws.states.renew_credentials()
    assert apply().outcome.ok
    assert apply().plan == ()


def test_a_denied_call_names_the_missing_permission(aws: AwsAccount) -> None:
    aws.states.deny("CreateNodegroup")

    applied = apply()

    failure = next(one for one in applied.failures if one.step == "node-groups")
    assert "eks:CreateNodegroup" in failure.cause
    assert "provision eks policy" in failure.fix


def test_a_run_that_waits_for_aws_hears_cancel_within_a_second(aws: AwsAccount) -> None:
    aws.states.slow("cluster", 1000)
    cancel, began = threading.Event(), time.monotonic()
    heard: list[float] = []

    def stop() -> None:
        while not any(call.operation == "CreateCluster" for call in aws.calls):
            time.sleep(0.01)
        heard.append(time.monotonic())
        cancel.set()

    threading.Thread(target=stop, daemon=True).start()
    applied = apply(cancel=cancel, pace=Pace(0.2, 30))

    assert time.monotonic() - heard[0] < 2, f"of {time.monotonic() - began:.1f} s"
    assert applied.outcome.interrupted
    assert not [event for event in applied.events if isinstance(event, HostFailed)]
    aws.states.slow("cluster", 1)
    assert apply().outcome.ok


def test_no_wait_leaves_what_nothing_builds_on_to_aws(aws: AwsAccount) -> None:
    aws.states.slow("nodegroup", 30)

    applied = apply(wait=False)

    assert applied.outcome.ok, applied.failures
    assert look().node_groups[0].status == "CREATING"
    assert apply().outcome.ok
    assert apply().plan == ()


def test_a_cluster_that_others_made_is_refused_before_anything_is_made(aws: AwsAccount) -> None:
    make_role(aws, "theirs")
    ec2 = aws.operator().client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ids = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate(SMALL.vpc.zones)
    ]
    aws.operator().client("eks").create_cluster(
        name="demo", roleArn=ADMIN.replace("platform", "theirs"), resourcesVpcConfig={"subnetIds": ids}
    )

    found = refusals(SMALL, look())

    assert "provision did not make" in found[0].message
    assert found[0].severity == "error"


def test_a_role_that_others_made_is_refused_by_its_name(aws: AwsAccount) -> None:
    name = names.role_name("eu-central-1", "demo", names.CLUSTER_ROLE)
    make_role(aws, name)

    assert [name in finding.message for finding in refusals(SMALL, look())] == [True]


def test_an_add_on_that_others_installed_is_refused_with_the_way_to_hand_it_over(made: AwsAccount) -> None:
    made.operator().client("eks").create_addon(clusterName="demo", addonName="metrics-server")
    wanted = changed(addons=(*SMALL.addons, Addon(name="metrics-server")))

    (found,) = refusals(wanted, look(wanted))
    assert "aws eks tag-resource" in found.fix

    assert apply().plan == ()  # what is not in the file and was not made by provision is left alone


def test_node_groups_go_on_when_another_one_fails(aws: AwsAccount) -> None:
    aws.states.fail_nodegroup("broken", "InstanceLimitExceeded")
    wanted = changed(node_groups=(WORKERS, NodeGroup(name="broken")))

    applied = apply(wanted)

    assert applied.outcome.failed_hosts == {"node-group broken"}
    assert "nodes-ready" not in applied.outcome.skipped_steps
    coredns = look(wanted).addon("coredns")
    assert coredns is not None
    assert coredns.status == "ACTIVE"


def test_nodes_that_we_may_not_see_are_no_failure(aws: AwsAccount) -> None:
    applied = apply(changed(access=Access(creator_admin=False, admins=(ADMIN,))))

    assert applied.outcome.ok, applied.failures
    said = [change for event in applied.events if isinstance(event, TaskFinished) for change in event.changes]
    assert any("the nodes were not looked at" in change and "access.admins" in change for change in said)
    assert aws.inventory()["node-group"][0]["status"] == "ACTIVE"


def test_nodes_that_are_not_ready_yet_are_waited_for(aws: AwsAccount) -> None:
    aws.states.slow("nodes", 4)

    applied = apply()

    assert applied.outcome.ok, applied.failures
    assert any("is not ready" in note for note in applied.notes)


def test_settings_that_an_earlier_run_has_sent_already_are_not_sent_again(made: AwsAccount) -> None:
    made.states.slow("update", 5)
    wanted = changed(logs=("audit",))
    with pytest.raises(KilledError):
        apply(wanted, killer=Killer(1))

    applied = apply(wanted)

    assert applied.outcome.ok, applied.failures
    assert mutations(made) == ["UpdateClusterConfig"]


def test_an_address_that_is_there_twice_is_released_and_the_one_in_use_stays(made: AwsAccount) -> None:
    expected = made.inventory()
    tags = names.tags("demo", names.address("eu-central-1a"), {})
    made.operator().client("ec2").allocate_address(
        Domain="vpc",
        TagSpecifications=[
            {
                "ResourceType": "elastic-ip",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )

    assert apply().outcome.ok

    assert made.inventory() == expected
