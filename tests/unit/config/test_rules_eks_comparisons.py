"""Rules that compare keys of an EKS file."""

from __future__ import annotations

import pytest

from .eks_factories import EKS, ROLE, eks_changed, eks_file, group
from .factories import findings_of, only

S1, S2 = "subnet-0a1b2c3d", "subnet-0e4f5a6b"
FARGATE = "fargate_profiles: [{name: batch, selectors: [{namespace: kube-system}]}]\n"


def vpc(text: str) -> str:
    return eks_changed(add=f"vpc: {{{text}}}\n")


@pytest.mark.parametrize(
    ("zones", "key", "message", "fix"),
    [
        ("[eu-central-1a]", "vpc.zones", "one zone is given; EKS needs two", "list two or three"),
        (
            "[eu-central-1a, eu-central-1b, eu-central-1c, eu-central-1d]",
            "vpc.zones",
            "4 zones are given",
            "",
        ),
        ("[eu-central-1a, eu-central-1a]", "vpc.zones[1]", "eu-central-1a is vpc.zones[0] too", ""),
        ("[eu-central-1a, eu-west-1a]", "vpc.zones[1]", "eu-west-1a is not in region eu-central-1", ""),
        ("[eu-central-1a, euc1-az2]", "vpc.zones[1]", "euc1-az2 is a zone's id", "for example eu-central-1a"),
        ("[eu-central-1a, eu-central-1]", "vpc.zones[1]", "eu-central-1 is a region", "eu-central-1a"),
        ("[eu-central-1a, b]", "vpc.zones[1]", "b is not an availability zone", ""),
        ("[eu-central-1a, us-west-2-lax-1a]", "vpc.zones[1]", "is a local zone", ""),
    ],
)
def test_zones_are_two_or_three_different_ones_of_the_region(
    zones: str, key: str, message: str, fix: str
) -> None:
    finding = only(findings_of(vpc(f"zones: {zones}")))
    assert finding.key == key
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("zones", ["[]", "[eu-central-1a, eu-central-1c]"])
def test_zones_may_be_left_to_aws(zones: str) -> None:
    assert findings_of(vpc(f"zones: {zones}")) == ()


def test_a_wrong_region_is_one_finding_and_none_of_the_zones() -> None:
    text = eks_changed(
        ("region: eu-central-1", "region: frankfurt"), add="vpc: {zones: [eu-central-1a, eu-central-1b]}\n"
    )
    assert only(findings_of(text)).key == "region"


@pytest.mark.parametrize(
    ("subnets", "key", "message"),
    [
        (f"{{private: [{S1}]}}", "vpc.subnets", "1 subnet is given; EKS needs at least two"),
        ("{}", "vpc.subnets", "0 subnets are given"),
        (f"{{private: [{S1}, {S1}]}}", "vpc.subnets.private[1]", f"{S1} is vpc.subnets.private[0] too"),
        (
            f"{{private: [{S1}], public: [{S1}]}}",
            "vpc.subnets.public[0]",
            f"{S1} is vpc.subnets.private[0] too",
        ),
    ],
)
def test_existing_subnets_are_at_least_two_without_duplicates(subnets: str, key: str, message: str) -> None:
    found = findings_of(vpc(f"subnets: {subnets}"))
    finding = next(each for each in found if each.key == key)
    assert message in finding.message


@pytest.mark.parametrize("key", ["cidr: 10.0.0.0/16", "zones: [eu-central-1a, eu-central-1b]", "nat: single"])
def test_keys_of_a_new_vpc_are_refused_beside_existing_subnets(key: str) -> None:
    finding = only(findings_of(vpc(f"{key}, subnets: {{private: [{S1}, {S2}]}}")))
    assert finding.key == f"vpc.{key.partition(':')[0]}"
    assert "vpc.subnets names existing subnets" in finding.message


def test_subnets_that_are_null_are_none() -> None:
    assert findings_of(vpc("cidr: 10.0.0.0/16, subnets: null")) == ()


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            vpc("nat: none"),
            "node_groups[0].subnets",
            "private subnets, which have no route to the internet with nat: none",
        ),
        (vpc(f"subnets: {{public: [{S1}, {S2}]}}"), "node_groups[0].subnets", "and vpc.subnets lists none"),
        (
            group("subnets: public") + f"vpc: {{subnets: {{private: [{S1}, {S2}]}}}}\n",
            "node_groups[0].subnets",
            "node group workers is in public subnets, and vpc.subnets lists none",
        ),
        (
            group("subnets: public") + "vpc: {nat: none}\n" + FARGATE,
            "fargate_profiles",
            "Fargate runs pods in private subnets, which have no route to the internet with nat: none",
        ),
        (
            group("subnets: public") + f"vpc: {{subnets: {{public: [{S1}, {S2}]}}}}\n" + FARGATE,
            "fargate_profiles",
            "Fargate runs pods in private subnets, and vpc.subnets lists none",
        ),
    ],
)
def test_nodes_and_fargate_need_subnets_of_their_kind_with_a_route_to_the_internet(
    text: str, key: str, message: str
) -> None:
    finding = only(findings_of(text))
    assert (finding.key, finding.check) == (key, "placement")
    assert message in finding.message


def test_public_nodes_need_no_nat() -> None:
    assert findings_of(group("subnets: public") + "vpc: {nat: none}\n") == ()


def test_a_misspelt_kind_of_subnets_is_one_mistake() -> None:
    assert only(findings_of(vpc(f"subnets: {{privat: [{S1}, {S2}]}}"))).fix == "did you mean private?"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (eks_changed(add="service_cidr: 192.168.0.0/20\n"), "write 10.100.0.0/16"),
        (vpc("cidr: 10.100.0.0/20") + "service_cidr: 10.96.0.0/12\n", "write 172.20.0.0/16"),
    ],
)
def test_services_and_the_vpc_must_not_overlap(text: str, fix: str) -> None:
    finding = only(findings_of(text))
    assert (finding.key, finding.check) == ("service_cidr", "ranges-overlap")
    assert finding.fix == fix


def test_services_are_not_compared_with_a_vpc_that_is_not_created() -> None:
    text = vpc(f"subnets: {{private: [{S1}, {S2}]}}") + "service_cidr: 192.168.0.0/20\n"
    assert findings_of(text) == ()


@pytest.mark.parametrize(
    ("endpoint", "severity", "key", "message"),
    [
        ("{public: false, private: false}", "error", "endpoint.private", "neither public nor private"),
        ("{public_cidrs: []}", "error", "endpoint.public_cidrs", "EKS treats as 0.0.0.0/0"),
        ("{private: false}", "warning", "endpoint.public_cidrs", "from the whole internet"),
        ("{public_cidrs: [0.0.0.0/0]}", "warning", "endpoint.public_cidrs", "from the whole internet"),
        ("{public_cidrs: [203.0.113.0/24, 203.0.113.0/24]}", "error", "endpoint.public_cidrs[1]", "too"),
        (
            f"{{public_cidrs: [{', '.join(f'203.0.113.{number}/32' for number in range(41))}]}}",
            "error",
            "endpoint.public_cidrs",
            "41 ranges are listed; EKS accepts at most 40",
        ),
    ],
)
def test_an_unreachable_endpoint_is_refused_and_one_open_to_the_internet_is_warned_of(
    endpoint: str, severity: str, key: str, message: str
) -> None:
    finding = only(findings_of(eks_changed(("{public_cidrs: [203.0.113.0/24]}", endpoint))))
    assert (finding.severity, finding.key) == (severity, key)
    assert message in finding.message


def test_a_private_endpoint_needs_no_public_ranges() -> None:
    assert findings_of(eks_changed(("{public_cidrs: [203.0.113.0/24]}", "{public: false}"))) == ()


@pytest.mark.parametrize(
    ("sizes", "key", "message", "fix"),
    [
        ("min: -1", "min", "min -1 is less than 0", ""),
        ("max: 0", "max", "max 0 is less than 1", ""),
        ("min: 3, desired: 3, max: 2", "min", "min 3 is more than max 2", "write max: 3 or more"),
        ("min: 4", "min", "min 4 is more than max 3 (the default)", "write max: 4 or more"),
        ("desired: 5", "desired", "desired 5 is more than max 3 (the default)", "write max: 5 or more"),
        ("max: 1", "max", "desired 2 (the default) is more than max 1", "write desired: 1 too"),
        ("min: 3", "min", "desired 2 (the default) is less than min 3", "write desired: 3 too"),
        ("min: 2, desired: 1", "desired", "desired 1 is less than min 2", "write min: 1"),
    ],
)
def test_a_node_groups_sizes_are_in_order(sizes: str, key: str, message: str, fix: str) -> None:
    finding = only(findings_of(group(sizes)))
    assert (finding.key, finding.message) == (f"node_groups[0].{key}", message)
    assert fix in finding.fix


@pytest.mark.parametrize("sizes", ["min: 0, desired: 1, max: 1", "min: 5, desired: 5, max: 5", "max: 2"])
def test_sizes_in_order_are_accepted(sizes: str) -> None:
    assert findings_of(group(sizes)) == ()


@pytest.mark.parametrize(
    ("types", "key", "message", "fix"),
    [
        ("[]", "", "no instance type is listed", ""),
        ("[m7i.large, m7i.large]", "[1]", "m7i.large is node_groups[0].instance_types[0] too", ""),
        (
            "[m7i.large, c7i.large, m7g.large]",
            "[2]",
            "m7g.large is arm64, m7i.large is amd64; the nodes of a group run one image",
            "add a separate node group for arm64",
        ),
        (f"[{', '.join(f'm7i.{number}xlarge' for number in range(1, 22))}]", "", "21 types are listed", ""),
    ],
)
def test_a_node_groups_types_run_one_image(types: str, key: str, message: str, fix: str) -> None:
    finding = only(findings_of(group(f"instance_types: {types}")))
    assert finding.key == f"node_groups[0].instance_types{key}"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("capacity", ["on-demand", "spot"])
def test_several_types_are_fine_for_both_capacities(capacity: str) -> None:
    assert findings_of(group(f"capacity: {capacity}, instance_types: [m7i.large, m6i.large]")) == ()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (EKS + "  - {name: Workers}\n", "node_groups[1].name"),
        (
            eks_changed(add=FARGATE.replace("]}]", "]}, {name: batch, selectors: [{namespace: b}]}]")),
            "fargate_profiles[1].name",
        ),
        (
            eks_changed(add="addons: [{name: vpc-cni}, {name: kube-proxy}, {name: vpc-cni}]\n"),
            "addons[2].name",
        ),
        (eks_changed(add="logs: [audit, api, audit]\n"), "logs[2]"),
        (eks_changed(add=f"access: {{admins: [{ROLE}, {ROLE}]}}\n"), "access.admins[1]"),
        (eks_changed(add="tags: {Team: a, team: b}\n"), "tags.team"),
        (
            eks_changed(
                add=f"pod_identities: [{{namespace: a, service_account: b, role_arn: {ROLE}}}, "
                f"{{namespace: a, service_account: b, role_arn: {ROLE}}}]\n"
            ),
            "pod_identities[1].service_account",
        ),
    ],
)
def test_duplicates_are_refused(text: str, key: str) -> None:
    finding = only(findings_of(text))
    assert finding.key == key
    assert finding.message.endswith("too")


def test_one_service_account_name_in_two_namespaces_is_two_accounts() -> None:
    text = "pod_identities:\n" + "".join(
        f"  - {{namespace: {each}, service_account: a, role_arn: {ROLE}}}\n" for each in ("x", "y")
    )
    assert len(eks_file(eks_changed(add=text)).cluster.pod_identities) == 2


@pytest.mark.parametrize(
    ("selectors", "key", "message"),
    [
        ("[]", "selectors", "no selectors are given; one to five are possible"),
        (f"[{', '.join('{namespace: a}' for _ in range(6))}]", "selectors", "6 selectors are given"),
        ("[{namespace: A}]", "selectors[0].namespace", "A is not a namespace"),
        ("[{namespace: a, labels: {x: b c}}]", "selectors[0].labels.x", "the label's value"),
        ("[{labels: {x: y}}]", "selectors[0].namespace", "namespace is missing"),
    ],
)
def test_a_fargate_profile_has_one_to_five_selectors(selectors: str, key: str, message: str) -> None:
    finding = only(findings_of(eks_changed(add=f"fargate_profiles: [{{name: a, selectors: {selectors}}}]\n")))
    assert finding.key == f"fargate_profiles[0].{key}"
    assert message in finding.message


def test_a_fargate_profiles_name_must_not_have_the_prefix_that_aws_reserves() -> None:
    finding = only(findings_of(eks_changed(add=FARGATE.replace("batch", "eks-batch"))))
    assert "begins with eks-" in finding.message


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        (group("min: 0, desired: 0"), True),
        (group("min: 0, desired: 0") + FARGATE, False),
        (group("min: 0, desired: 0") + FARGATE.replace("kube-system", "kube-*"), False),
        (group("min: 0, desired: 0") + FARGATE.replace("kube-system", "batch"), True),
        (EKS.partition("node_groups:")[0] + FARGATE, False),
        (EKS.partition("node_groups:")[0] + FARGATE.replace("kube-system", "batch"), True),
    ],
)
def test_a_cluster_where_coredns_could_not_run_is_warned_of(text: str, warned: bool) -> None:  # noqa: FBT001
    found = findings_of(text)
    assert [(finding.check, finding.severity) for finding in found] == (
        [("coredns", "warning")] if warned else []
    )


@pytest.mark.parametrize(
    ("addons", "more", "severity", "message"),
    [
        ("kube-proxy", "", "warning", "vpc-cni is not in the list"),
        ("vpc-cni", "", "warning", "kube-proxy is not in the list"),
        (
            "vpc-cni}, {name: kube-proxy",
            f"pod_identities: [{{namespace: a, service_account: b, role_arn: {ROLE}}}]\n",
            "error",
            "pod identities work through the add-on eks-pod-identity-agent",
        ),
    ],
)
def test_missing_addons_that_others_need_are_findings(
    addons: str, more: str, severity: str, message: str
) -> None:
    finding = only(findings_of(eks_changed(add=f"addons: [{{name: {addons}}}]\n{more}")))
    assert (finding.key, finding.severity) == ("addons", severity)
    assert message in finding.message


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "neither role_arn nor policy_arns is given"),
        (
            f", role_arn: {ROLE}, policy_arns: [arn:aws:iam::aws:policy/X]",
            "role_arn and policy_arns are given; policies of an existing role are not changed",
        ),
    ],
)
def test_a_pod_identity_has_one_source_of_permissions(more: str, message: str) -> None:
    text = f"pod_identities: [{{namespace: a, service_account: b{more}}}]\n"
    finding = only(findings_of(eks_changed(add=text)))
    assert (finding.key, finding.message) == ("pod_identities[0]", message)


def test_a_cluster_without_administrators_is_refused() -> None:
    finding = only(findings_of(eks_changed(add="access: {creator_admin: false}\n")))
    assert (finding.key, finding.check) == ("access.creator_admin", "admins")
    assert findings_of(eks_changed(add=f"access: {{creator_admin: false, admins: [{ROLE}]}}\n")) == ()


def test_there_is_room_for_forty_tags() -> None:
    lines = [f"  t{number}: x\n" for number in range(41)]
    assert findings_of(eks_changed(add="tags:\n" + "".join(lines[:40]))) == ()
    assert "41 tags are given" in only(findings_of(eks_changed(add="tags:\n" + "".join(lines)))).message


def test_a_name_that_eksctl_cannot_use_is_refused() -> None:
    text = eks_changed(("workers", "my_workers"), add="backend: eksctl\n")
    finding = only(findings_of(text))
    assert (finding.key, finding.check) == ("node_groups[0].name", "eksctl")
    assert finding.fix == "write my-workers, or backend: boto3"
    assert findings_of(text.replace("my_", "my-")) == ()
