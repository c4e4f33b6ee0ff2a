"""Reset against an account over HTTP: everything of the cluster goes, nothing else, whatever state it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.model.eks import FargateProfile, NodeGroup, Selector, Subnets, Vpc
from provision.providers.eks import names
from tests.unit.providers.eks.apply_runs import ADMIN, SMALL, ZONES, apply
from tests.unit.providers.eks.fault_injection import KilledError, Killer
from tests.unit.providers.eks.reset_runs import findings, planned, remaining_resources, reset

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from tests.aws.account import AwsAccount

# Two of what SMALL has one of.
TWICE = SMALL.model_copy(
    update={
        "node_groups": (NodeGroup(name="workers", desired=1), NodeGroup(name="others", desired=1)),
        "fargate_profiles": tuple(
            FargateProfile(name=name, selectors=(Selector(namespace=name),)) for name in ("batch", "web")
        ),
    }
)


@pytest.fixture
def before(aws: AwsAccount) -> dict[str, list[Any]]:
    """The account before the cluster; its administrator is there."""
    document = '{"Statement": []}'
    iam = aws.operator().client("iam")
    iam.create_role(RoleName=ADMIN.rpartition("/")[2], AssumeRolePolicyDocument=document)
    return aws.inventory()


@pytest.fixture
def made(aws: AwsAccount, before: dict[str, list[Any]]) -> AwsAccount:
    """The account with the cluster in it."""
    assert before
    assert apply().outcome.ok
    return aws


def tagged(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return [{"ResourceType": kind, "Tags": listed}]


def test_nothing_of_ours_needs_no_step(aws: AwsAccount) -> None:
    assert planned() == ()
    assert aws.mutating_calls == ()


def test_the_account_is_as_it_was_before_the_cluster(aws: AwsAccount, before: dict[str, list[Any]]) -> None:
    assert apply(TWICE).outcome.ok

    done = reset(TWICE)

    assert done.failures == []
    assert done.outcome.ok
    assert aws.inventory() == before
    assert planned(TWICE) == ()


def test_a_reset_that_is_killed_after_every_single_call_ends_where_an_undisturbed_one_does(
    before: dict[str, list[Any]], made: AwsAccount
) -> None:
    made.ghosts.load_balancer("demo")
    made.ghosts.classic_load_balancer("demo")
    made.ghosts.interface("demo")
    made.ghosts.volume("demo")
    made.forget_calls()
    runs = 0
    while True:
        runs += 1
        try:
            done = reset(delete_volumes=True, killer=Killer(1))
        except KilledError:
            assert runs < 200
            continue
        break

    assert done.failures == []
    assert made.inventory() == before
    assert planned() == ()
    assert runs > len([call for call in made.mutating_calls if not call.error]) / 3


@pytest.mark.parametrize("calls", [1, 9, 18, 24, 30, 36, 40])
def test_a_half_created_cluster_is_deleted_too(
    aws: AwsAccount, before: dict[str, list[Any]], calls: int
) -> None:
    with pytest.raises(KilledError):
        apply(killer=Killer(calls))

    done = reset()

    assert done.failures == []
    assert aws.inventory() == before


def test_what_the_cluster_made_by_itself_goes_with_it_and_first(
    before: dict[str, list[Any]], made: AwsAccount
) -> None:
    made.ghosts.load_balancer("demo")
    made.ghosts.classic_load_balancer("demo")
    made.ghosts.interface("demo")
    made.forget_calls()

    done = reset()

    assert done.failures == []
    assert [step.name for step in done.plan[:2]] == ["delete-load-balancers", "delete-target-groups"]
    calls = [call.operation for call in made.mutating_calls]
    assert calls.index("DeleteLoadBalancer") < calls.index("DeleteNodegroup") < calls.index("DeleteCluster")
    assert calls.index("DeleteCluster") < calls.index("DeleteSecurityGroup") < calls.index("DeleteVpc")
    assert made.inventory() == before


def test_a_load_balancer_that_comes_while_the_cluster_goes_is_found_afterwards(
    before: dict[str, list[Any]], made: AwsAccount
) -> None:
    plan = planned()
    made.ghosts.load_balancer("demo", "k8s-late")

    done = reset(plan=plan)

    assert "delete-load-balancers" not in [step.name for step in plan]
    assert done.failures == []
    assert made.inventory() == before


def test_fargate_profiles_go_one_after_the_other_and_node_groups_at_the_same_time(
    aws: AwsAccount, before: dict[str, list[Any]]
) -> None:
    assert apply(TWICE).outcome.ok
    aws.states.slow("delete", 3)
    aws.forget_calls()

    assert reset(TWICE).failures == []

    assert [call for call in aws.mutating_calls if call.error] == []  # EKS refuses a second profile meanwhile
    looks = [call.operation for call in aws.calls if call.operation.endswith("Nodegroup")]
    second = len(looks) - looks[::-1].index("DeleteNodegroup") - 1
    assert second - looks.index("DeleteNodegroup") <= 4  # sooner than the first is gone
    assert aws.inventory() == before


@pytest.mark.parametrize("state", ["creating", "failed-nodes", "deleting"])
def test_a_cluster_in_any_state_is_deleted(aws: AwsAccount, before: dict[str, list[Any]], state: str) -> None:
    if state == "failed-nodes":
        aws.states.fail_nodegroup("workers", "NodeCreationFailure")
        assert not apply().outcome.ok
    elif state == "creating":
        aws.states.slow("cluster", 50)
        with pytest.raises(KilledError):
            apply(killer=Killer(26))
    else:
        assert apply().outcome.ok
        aws.states.slow("delete", 4)
        aws.client("eks").delete_nodegroup(clusterName="demo", nodegroupName="workers")
    aws.states.slow("cluster", 5)
    aws.forget_calls()

    done = reset()

    assert done.failures == []
    assert ("DeleteNodegroup" in [call.operation for call in aws.mutating_calls]) == (state == "failed-nodes")
    assert aws.inventory() == before


def test_volumes_of_claims_stay_and_are_named(before: dict[str, list[Any]], made: AwsAccount) -> None:
    volume = made.ghosts.volume("demo")

    words = remaining_resources()
    assert reset().outcome.ok

    assert words == (
        f"volume {volume} (10 GiB, default/data-db-0) stays, and is paid for; --delete-volumes deletes it",
    )
    after = made.inventory()
    assert len(after.pop("volume")) == 1
    assert after == before


def test_volumes_of_claims_go_when_that_is_asked_for(before: dict[str, list[Any]], made: AwsAccount) -> None:
    made.ghosts.volume("demo")

    assert remaining_resources(delete_volumes=True) == ()
    assert reset(delete_volumes=True).outcome.ok
    assert made.inventory() == before


def test_volumes_of_other_clusters_and_of_no_claim_are_not_ours(made: AwsAccount) -> None:
    driver = {"ebs.csi.aws.com/cluster": "true", "kubernetes.io/created-for/pvc/name": "data"}
    other, own = {"kubernetes.io/cluster/other": "owned", **driver}, {"kubernetes.io/cluster/demo": "owned"}
    ec2 = made.operator().client("ec2")
    for tags in (other, driver, own):
        ec2.create_volume(AvailabilityZone=ZONES[0], Size=1, TagSpecifications=tagged("volume", tags))

    assert remaining_resources() == ()
    assert reset(delete_volumes=True).outcome.ok
    assert len(made.inventory()["volume"]) == 3


@pytest.mark.usefixtures("before")
def test_logs_of_the_control_plane_stay_and_are_named() -> None:
    cluster = SMALL.model_copy(update={"logs": ("audit",)})
    assert apply(cluster).outcome.ok

    (sentence,) = remaining_resources(cluster)

    assert sentence.startswith("the log group /aws/eks/demo/cluster stays; `aws logs delete-log-group")


def test_existing_subnets_and_what_is_in_them_stay(aws: AwsAccount, before: dict[str, list[Any]]) -> None:
    assert before
    with pytest.raises(KilledError):
        apply(named("mine"), killer=Killer(24))  # a network with NAT, and no cluster
    here = aws.operator().client("ec2").describe_subnets()["Subnets"]
    private = [one["SubnetId"] for one in here if tag(one, names.ROLE).startswith("subnet-private-")]
    untouched = aws.inventory()
    cluster = SMALL.model_copy(update={"vpc": Vpc(subnets=Subnets(private=tuple(private)))})
    assert apply(cluster).outcome.ok
    aws.ghosts.load_balancer("demo")

    done = reset(cluster)

    assert done.failures == []
    assert aws.inventory() == untouched


def test_another_cluster_of_ours_stays(made: AwsAccount) -> None:
    assert apply(named("other")).outcome.ok
    assert reset().outcome.ok
    alone = made.inventory()
    assert apply().outcome.ok

    assert reset().outcome.ok

    assert made.inventory() == alone
    assert len(alone["cluster"]) == 1
    assert [row["State"] for row in alone["nat-gateway"]] == ["available"]


def named(name: str) -> EksCluster:
    return SMALL.model_copy(update={"name": name})


def tag(resource: dict[str, Any], key: str) -> str:
    return next((str(one["Value"]) for one in resource.get("Tags", ()) if one["Key"] == key), "")


def test_a_cluster_of_that_name_that_somebody_else_made_stays_with_all_that_is_its_own(
    made: AwsAccount,
) -> None:
    made.ghosts.load_balancer("demo")
    eks = made.operator().client("eks")
    arn = eks.describe_cluster(name="demo")["cluster"]["arn"]
    eks.untag_resource(resourceArn=arn, tagKeys=[names.MANAGED_BY])

    (finding,) = findings()

    assert (finding.severity, finding.check) == ("warning", "eks-foreign-cluster")
    steps = {step.name for step in planned()}
    assert not steps & {"delete-cluster", "delete-node-groups", "delete-load-balancers", "delete-leftovers"}


def test_a_node_group_that_somebody_else_made_is_an_error_before_anything_is_deleted(
    made: AwsAccount,
) -> None:
    eks = made.operator().client("eks")
    group = eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]
    eks.create_nodegroup(
        clusterName="demo", nodegroupName="karl", nodeRole=group["nodeRole"], subnets=group["subnets"]
    )

    (finding,) = findings()

    assert finding.severity == "error"
    assert finding.message.startswith("node-group karl is in the cluster, but provision did not make it")


def test_a_machine_that_somebody_put_into_the_vpc_is_named_and_reset_goes_on_when_it_is_gone(
    before: dict[str, list[Any]], made: AwsAccount
) -> None:
    ec2, part = made.operator().client("ec2"), names.private_subnet(ZONES[0])
    subnet = next(
        one["SubnetId"] for one in ec2.describe_subnets()["Subnets"] if tag(one, names.ROLE) == part
    )
    interface = ec2.create_network_interface(
        SubnetId=subnet,
        Description="build server",
        TagSpecifications=tagged("network-interface", {"team": "build"}),
    )["NetworkInterface"]["NetworkInterfaceId"]

    done = reset()

    (failure,) = done.failures
    assert failure.host == part
    assert failure.message == f"{part} is still used by network interface {interface} (build server)"
    assert "run `provision reset` again" in failure.fix
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    assert reset().outcome.ok
    assert made.inventory() == before


def test_a_security_group_that_somebody_made_in_the_vpc_is_named(made: AwsAccount) -> None:
    ec2 = made.operator().client("ec2")
    vpc = next(one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"] if tag(one, names.ROLE) == "vpc")
    group = ec2.create_security_group(GroupName="db", Description="x", VpcId=vpc)["GroupId"]

    (failure,) = reset().failures

    assert failure.message == f"vpc is still used by security group db {group}"


def test_an_inline_policy_that_somebody_gave_a_role_is_named(made: AwsAccount) -> None:
    name = names.role_name(SMALL.region, SMALL.name, names.NODE_ROLE)
    statement = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}'
    )
    iam = made.operator().client("iam")
    iam.put_role_policy(RoleName=name, PolicyName="extra", PolicyDocument=statement)

    (failure,) = reset().failures

    assert failure.message == "role-nodes is still used by its inline policy extra"


def test_after_a_failure_nothing_further_is_deleted_and_the_next_reset_ends_it(
    before: dict[str, list[Any]], made: AwsAccount
) -> None:
    made.states.deny("DeleteNodegroup")

    done = reset()

    (failure,) = done.failures
    assert (failure.step, failure.host) == ("delete-node-groups", "node-group workers")
    assert "eks:DeleteNodegroup" in failure.cause
    assert "delete-cluster" in done.outcome.skipped_steps
    assert "cluster" in made.inventory()
    made.states.allow("DeleteNodegroup")
    assert reset().outcome.ok
    assert made.inventory() == before


def test_lost_answers_are_asked_for_again(before: dict[str, list[Any]], made: AwsAccount) -> None:
    for operation in ("DeleteNodegroup", "DeleteCluster", "DeleteNatGateway", "DeleteVpc", "DeleteRole"):
        made.states.lose_replies(operation, 1)

    assert reset().failures == []
    assert made.inventory() == before
