from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from provision.model.eks import Addon, EndpointAccess, NodeGroup, Subnets, Vpc
from provision.providers.eks import names
from provision.providers.eks.checks import CHECKS, check
from provision.providers.eks.checks.context import (
    ADDRESSES,
    NATS,
    ON_DEMAND,
    SPOT,
    VPCS,
    Kubectl,
    Machine,
    Unanswered,
    Zone,
    pending,
)
from provision.providers.eks.checks.support import Calendar
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.facts import AddonOffer, Network, SubnetFacts
from provision.providers.eks.iam.permissions import Denied
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.context import Preflight
    from provision.providers.eks.facts import Observation

ZONES = factories.ZONES


def only(
    asked: EksCluster | None = None, observed: Observation | None = None, preflight: Preflight | None = None
) -> Finding:
    """The one finding; every finding has a fix."""
    found = check(asked or factories.cluster(), observed or factories.nothing(), preflight or factories.fit())
    assert len(found) == 1, [f"{finding.check}: {finding.message}" for finding in found]
    assert found[0].fix
    return found[0]


def machine(**changes: Any) -> Machine:
    return replace(Machine(vcpus=2, architecture="x86_64", spot=True, zones=ZONES), **changes)


def test_an_account_with_sufficient_quotas_has_no_findings() -> None:
    assert check(factories.cluster(), factories.nothing(), factories.fit()) == ()


def test_a_cluster_that_is_as_the_file_says_has_no_findings_and_needs_nothing() -> None:
    assert not pending(factories.cluster(), factories.running()).anything
    assert check(factories.cluster(), factories.running(), factories.fit()) == ()


def test_every_check_is_in_the_list_once() -> None:
    assert len(set(CHECKS)) == len(CHECKS)


def test_errors_come_before_warnings() -> None:
    preflight = factories.fit(
        unanswered=(Unanswered("kubectl", "no"),), denied=(Denied("eks:CreateCluster", certain=True),)
    )
    found = check(factories.cluster(), factories.nothing(), preflight)
    assert [finding.severity for finding in found] == ["error", "warning"]


# The account.


@pytest.mark.parametrize(("minutes", "text"), [(12, "12 minutes"), (-3, "0 minutes"), (29, "29 minutes")])
def test_credentials_that_expire_before_a_cluster_is_created_are_warned_of(minutes: int, text: str) -> None:
    finding = only(preflight=factories.fit(expires=factories.AT + minutes * 60))
    assert (finding.severity, finding.check) == ("warning", "credentials-end")
    assert text in finding.message
    assert factories.IDENTITY.arn in finding.message


def test_credentials_that_last_are_not_mentioned() -> None:
    assert (
        check(factories.cluster(), factories.nothing(), factories.fit(expires=factories.AT + 31 * 60)) == ()
    )


def test_credentials_need_not_last_where_there_is_nothing_to_do() -> None:
    assert check(factories.cluster(), factories.running(), factories.fit(expires=factories.AT + 60)) == ()


def test_every_missing_permission_is_named() -> None:
    denied = (Denied("ec2:CreateVpc", certain=True), Denied("iam:CreateRole", certain=True))
    finding = only(preflight=factories.fit(denied=denied))
    assert finding.severity == "error"
    assert finding.message == f"{factories.IDENTITY.arn} may not do ec2:CreateVpc, iam:CreateRole"


def test_a_permission_that_depends_on_the_real_call_is_a_warning() -> None:
    finding = only(preflight=factories.fit(denied=(Denied("ec2:CreateVpc", certain=False),)))
    assert finding.severity == "warning"
    assert "may perhaps not do ec2:CreateVpc" in finding.message


def test_permissions_to_delete_are_needed_by_reset_only() -> None:
    finding = only(preflight=factories.fit(denied=(Denied("ec2:DeleteVpc", certain=True),)))
    assert finding.severity == "warning"
    assert "may not do ec2:DeleteVpc, which `provision reset` needs" in finding.message


@pytest.mark.parametrize(
    ("code", "used", "message"),
    [
        (VPCS, 5, 'the quota "VPCs per Region" (L-F678F1CE) of eu-central-1 is 5: 5 are used, 1 more needed'),
        (ADDRESSES, 6, "EC2-VPC Elastic IPs"),
        (NATS, 5, "NAT gateways per Availability Zone"),
        (ON_DEMAND, 61, "is 64 vCPUs: 61 are used, 4 more needed"),
    ],
)
def test_a_quota_that_is_used_up_is_an_error_with_the_command_that_raises_it(
    code: str, used: int, message: str
) -> None:
    whole = factories.fit()
    finding = only(preflight=replace(whole, used={**whole.used, code: used}))
    assert (finding.severity, finding.check) == ("error", "quota")
    assert message in finding.message
    assert f"--quota-code {code} --desired-value {used + (4 if code == ON_DEMAND else 1)}" in finding.fix


def test_a_quota_that_is_just_enough_is_no_finding() -> None:
    whole = factories.fit()
    used = {**whole.used, VPCS: 4, ADDRESSES: 4, NATS: 4, ON_DEMAND: 60}
    assert check(factories.cluster(), factories.nothing(), replace(whole, used=used)) == ()


def test_spot_has_a_quota_of_its_own() -> None:
    asked = factories.cluster(node_groups=(NodeGroup(name="batch", capacity="spot", desired=3),))
    whole = factories.fit()
    assert "Spot" in only(asked, preflight=replace(whole, used={**whole.used, SPOT: 62})).message
    assert check(asked, factories.nothing(), replace(whole, used={**whole.used, ON_DEMAND: 64})) == ()


def test_a_gateway_in_every_zone_needs_an_address_for_each() -> None:
    asked = factories.cluster(vpc=Vpc(nat="per-zone"))
    whole = factories.fit()
    finding = only(asked, preflight=replace(whole, used={**whole.used, ADDRESSES: 3}))
    assert "3 are used, 3 more needed" in finding.message


def test_an_existing_cluster_needs_no_vpc_however_many_there_are() -> None:
    whole = factories.fit()
    full = dict.fromkeys(whole.used, 64)
    assert check(factories.cluster(), factories.running(), replace(whole, used=full)) == ()


def test_a_node_group_that_grows_needs_vcpus_for_the_new_nodes_only() -> None:
    asked = factories.cluster(node_groups=(NodeGroup(name="workers", desired=4, max=4),))
    whole = factories.fit()
    finding = only(asked, factories.running(), replace(whole, used={**whole.used, ON_DEMAND: 62}))
    assert "4 more needed" in finding.message


def test_what_could_not_be_read_is_one_warning_per_reason() -> None:
    why = "the credentials may not do servicequotas:GetServiceQuota"
    finding = only(
        preflight=factories.fit(unanswered=(Unanswered("the quota A", why), Unanswered("the quota B", why)))
    )
    assert finding.severity == "warning"
    assert finding.message == f"not checked: the quota A, the quota B ({why})"


# Whose it is.


@pytest.mark.parametrize(
    ("backend", "tags", "message", "fix"),
    [
        ("boto3", {"team": "web"}, "was not created by provision", "another `name`"),
        ("boto3", {eksctl.CLUSTER_TAG: "demo"}, "created by eksctl, but not by provision", "tag-resource"),
        (
            "boto3",
            {eksctl.CLUSTER_TAG: "demo", names.MANAGED_BY: "eksctl"},
            "created by eksctl, for provision",
            "write `backend: eksctl`",
        ),
        ("eksctl", {"team": "web"}, "was not created by provision", "another `name`"),
        ("eksctl", names.tags("demo", "cluster", {}), "by provision itself", "write `backend: boto3`"),
        ("eksctl", {eksctl.CLUSTER_TAG: "demo"}, "not by provision", "tag-resource"),
        ("boto3", names.tags("other", "cluster", {}), "was not created by provision", "another `name`"),
    ],
)
def test_a_cluster_with_another_owner_is_refused(
    backend: str, tags: Mapping[str, str], message: str, fix: str
) -> None:
    asked = factories.cluster(backend=backend)
    there = factories.control_plane(asked, tags=tags, owned=False)
    finding = only(asked, factories.nothing(cluster=there))
    assert (finding.severity, finding.check) == ("error", "another-owner")
    assert factories.ACCOUNT in finding.message
    assert message in finding.message
    assert fix in finding.fix


def test_what_cannot_be_changed_in_place_is_refused() -> None:
    asked = factories.cluster(service_cidr="10.200.0.0/16")
    assert only(asked, factories.running()).check == "in-place"


@pytest.mark.parametrize("status", ["CREATING", "UPDATING"])
def test_eksctl_waits_for_its_cloudformation_to_end(status: str) -> None:
    asked = factories.cluster(backend="eksctl")
    observed = factories.running(asked)
    assert observed.cluster
    finding = only(asked, replace(observed, cluster=replace(observed.cluster, status=status)))
    assert finding.check == "cluster-state"
    assert status in finding.message


def test_what_the_backend_eksctl_does_not_change_is_a_warning() -> None:
    before = factories.cluster(backend="eksctl")
    asked = factories.cluster(
        backend="eksctl", node_groups=(NodeGroup(name="workers", labels={"disk": "ssd"}),)
    )
    finding = only(asked, factories.running(before))
    assert (finding.severity, finding.where) == ("warning", "node-group workers")
    assert "lacks the label disk=ssd" in finding.message


# Versions.


def test_a_minor_that_eks_does_not_offer_is_refused_with_those_it_offers() -> None:
    finding = only(factories.cluster(kubernetes="1.38"), preflight=factories.fit(kubectl=None))
    assert finding.message == "EKS does not offer Kubernetes 1.38; it offers 1.35, 1.34, 1.33"
    assert finding.fix == 'write kubernetes: "1.35"'


def test_extended_support_says_what_it_costs() -> None:
    found = check(factories.cluster(kubernetes="1.33"), factories.nothing(), factories.fit())
    finding = next(one for one in found if one.check == "extended-support")
    assert finding.severity == "warning"
    assert "costs $365 a month more; that ends on 2027-07-29" in finding.message


def test_standard_support_that_ends_soon_is_reported_of_a_running_cluster_without_a_query() -> None:
    asked = factories.cluster(kubernetes="1.34")
    finding = only(asked, factories.running(asked), factories.fit(calendar=None, kubectl=None))
    assert "ends on 2026-12-02" in finding.message
    assert finding.fix == "upgrade, one minor after the other"


def test_a_minor_without_any_support_is_refused() -> None:
    later = datetime(2027, 8, 1, tzinfo=UTC).timestamp()
    asked = factories.cluster(kubernetes="1.33")
    found = check(asked, factories.nothing(), replace(factories.fit(kubectl=None), at=later))
    assert "ended all support of Kubernetes 1.33 on 2027-07-29" in found[0].message


def test_a_minor_that_is_newer_than_the_bundled_table_is_left_to_aws() -> None:
    preflight = factories.fit(calendar=None, kubectl=None)
    assert check(factories.cluster(kubernetes="1.38"), factories.nothing(), preflight) == ()


def test_a_minor_that_is_older_than_the_bundled_table_is_refused() -> None:
    preflight = factories.fit(calendar=None, kubectl=None)
    assert (
        "no longer supports Kubernetes 1.27"
        in only(factories.cluster(kubernetes="1.27"), preflight=preflight).message
    )


def test_an_unknown_addon_is_refused() -> None:
    asked = factories.cluster(addons=(Addon(name="nonsense"),))
    offers = {"nonsense": AddonOffer(addon="nonsense", kubernetes="1.35", versions=(), default="")}
    finding = only(asked, preflight=factories.fit(addons=offers))
    assert (finding.check, finding.where) == ("addon", "addon nonsense")


def test_an_addon_version_that_is_not_offered_is_refused_with_those_that_are() -> None:
    asked = factories.cluster(addons=(Addon(name="coredns", version="v1.0.0-eksbuild.1"),))
    finding = only(asked)
    assert "there are v1.3.0-eksbuild.1, v1.2.0-eksbuild.1" in finding.message
    assert "v1.3.0-eksbuild.1" in finding.fix


@pytest.mark.parametrize(("version", "warnings"), [("1.33", 1), ("1.34", 0), ("1.36", 0), ("1.37", 1)])
def test_a_kubectl_more_than_a_minor_away_is_warned_of(version: str, warnings: int) -> None:
    preflight = factories.fit(kubectl=Kubectl(path="/usr/bin/kubectl", version=version))
    found = check(factories.cluster(), factories.nothing(), preflight)
    assert [finding.check for finding in found] == ["kubectl"] * warnings
    assert all("supports 1.34 to 1.36" in finding.message for finding in found)


def test_a_private_endpoint_is_warned_of() -> None:
    asked = factories.cluster(endpoint=EndpointAccess(public=False))
    assert only(asked).check == "private-endpoint"


# Machines.


def test_an_instance_type_that_the_region_does_not_have_is_refused() -> None:
    asked = factories.cluster(
        node_groups=(NodeGroup(name="workers", instance_types=("m7i.larg", "m7i.large")),)
    )
    finding = only(asked)
    assert finding.message == "m7i.larg: not available in eu-central-1"
    assert "Values='m7i.*'" in finding.fix


def test_instance_types_of_two_architectures_are_refused() -> None:
    asked = factories.cluster(
        node_groups=(NodeGroup(name="workers", instance_types=("m7i.large", "m7g.large")),)
    )
    machines = {"m7i.large": machine(), "m7g.large": machine(architecture="arm64")}
    finding = only(asked, preflight=factories.fit(machines=machines))
    assert "m7i.large is x86_64, m7g.large is arm64" in finding.message


def test_spot_where_there_is_none_is_refused() -> None:
    asked = factories.cluster(node_groups=(NodeGroup(name="workers", capacity="spot"),))
    assert (
        only(asked, preflight=factories.fit(machines={"m7i.large": machine(spot=False)})).check == "no-spot"
    )


def test_a_zone_without_the_instance_type_is_refused_with_the_zones_that_have_it() -> None:
    zones = ("eu-central-1a", "eu-central-1b", "eu-central-1d")
    finding = only(preflight=factories.fit(machines={"m7i.large": machine(zones=zones)}))
    assert finding.message == "eu-central-1c does not offer m7i.large"
    assert finding.fix.startswith(
        "write `vpc.zones` with two or three of eu-central-1a, eu-central-1b, eu-central-1d"
    )


def test_one_of_several_instance_types_is_enough_in_a_zone() -> None:
    asked = factories.cluster(
        node_groups=(NodeGroup(name="workers", instance_types=("m7i.large", "m7a.large")),)
    )
    machines = {"m7i.large": machine(zones=ZONES[:2]), "m7a.large": machine(zones=ZONES[2:])}
    assert check(asked, factories.nothing(), factories.fit(machines=machines)) == ()


# The network.


def test_a_zone_that_does_not_exist_is_refused() -> None:
    network = Network(zones=("eu-central-1a", "eu-central-1x"))
    found = check(factories.cluster(), factories.nothing(network=network), factories.fit(machines=None))
    assert [one.message for one in found] == ["there is no zone eu-central-1x in eu-central-1"]
    assert "eu-central-1a, eu-central-1b, eu-central-1c" in found[0].fix


def test_a_zone_without_control_planes_is_refused() -> None:
    zones = (Zone("us-east-1e", "use1-az3", "available"), Zone("us-east-1a", "use1-az1", "available"))
    network = Network(zones=("us-east-1a", "us-east-1e"))
    found = check(
        factories.cluster(), factories.nothing(network=network), factories.fit(machines=None, zones=zones)
    )
    assert "EKS places no control planes in us-east-1e (use1-az3)" in found[0].message


def test_a_vpc_with_the_addresses_of_another_is_warned_of() -> None:
    finding = only(preflight=factories.fit(vpcs={"vpc-old": ("192.168.0.0/20",)}))
    assert (finding.severity, finding.check) == ("warning", "ranges-overlap")
    assert "vpc-old (192.168.0.0/20)" in finding.message


EXISTING = Subnets(private=("subnet-1", "subnet-2"))


def subnet(number: int, **changes: Any) -> SubnetFacts:
    whole = SubnetFacts(
        id=f"subnet-{number}",
        part="",
        vpc="vpc-theirs",
        zone=ZONES[number],
        cidr=f"10.0.{number}.0/24",
        free_addresses=200,
        public_addresses=False,
        tags={"kubernetes.io/role/internal-elb": "1"},
    )
    return replace(whole, **changes)


def in_subnets(*there: SubnetFacts, subnets: Subnets = EXISTING, **changes: Any) -> tuple[Finding, ...]:
    asked = factories.cluster(vpc=Vpc(subnets=subnets), **changes)
    zones = tuple(dict.fromkeys(one.zone for one in there))
    preflight = factories.fit(vpcs={"vpc-theirs": ("10.0.0.0/16",)})
    return check(asked, factories.nothing(network=Network(zones=zones, subnets=there)), preflight)


def test_subnets_that_fit_have_no_findings() -> None:
    assert in_subnets(subnet(1), subnet(2)) == ()


@pytest.mark.parametrize(
    ("there", "severity", "words"),
    [
        ((subnet(1),), "error", "there is no subnet subnet-2 in eu-central-1 of account 123456789012"),
        ((subnet(1), subnet(2, vpc="vpc-other")), "error", "subnet-2 is in vpc-other"),
        ((subnet(1), subnet(2, zone=ZONES[1])), "error", "all subnets are in eu-central-1b"),
        ((subnet(1), subnet(2, free_addresses=5)), "error", "has 5 free addresses, EKS needs 6"),
        ((subnet(1), subnet(2, free_addresses=15)), "warning", "only 15 free addresses"),
        (
            (subnet(1), subnet(2, tags={})),
            "warning",
            "subnet-2: the tag kubernetes.io/role/internal-elb is not 1",
        ),
    ],
)
def test_subnets_that_do_not_fit_are_reported(
    there: tuple[SubnetFacts, ...], severity: str, words: str
) -> None:
    found = in_subnets(*there)
    assert words in found[0].message
    assert found[0].severity == severity


def test_public_nodes_need_public_addresses() -> None:
    subnets = Subnets(private=("subnet-1", "subnet-2"), public=("subnet-0",))
    groups = (NodeGroup(name="workers", subnets="public"),)
    there = (subnet(1), subnet(2), subnet(0, tags={"kubernetes.io/role/elb": "1"}))
    found = in_subnets(*there, subnets=subnets, node_groups=groups)
    assert [finding.check for finding in found] == ["no-public-addresses"]


def test_service_addresses_must_lie_outside_of_an_existing_vpc() -> None:
    found = in_subnets(subnet(1), subnet(2), service_cidr="10.0.0.0/12")
    assert [finding.check for finding in found] == ["ranges-overlap"]
    assert "10.0.0.0/16 of vpc-theirs" in found[0].message


def test_the_calendar_of_aws_has_the_last_word() -> None:
    preflight = factories.fit(calendar=Calendar(minors={}), kubectl=None)
    assert only(preflight=preflight).check == "kubernetes-version"
