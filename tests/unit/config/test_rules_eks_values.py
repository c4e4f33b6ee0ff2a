"""Rules of single values of an EKS file: each refuses invalid ones and says what to write."""

from __future__ import annotations

import pytest

from provision.config.rules.eks.node_groups import architecture

from .eks_factories import ROLE, eks_changed, eks_file, group
from .factories import findings_of, only
from .test_rules_values import quoted


def vpc(text: str) -> str:
    return eks_changed(add=f"vpc: {{{text}}}\n")


@pytest.mark.parametrize("name", ["De_mo", "a.b", "x" * 64, "", "-a", "a b", "../x"])
def test_a_cluster_name_is_a_dns_label(name: str) -> None:
    assert only(findings_of(eks_changed(("demo", quoted(name))))).key == "name"


@pytest.mark.parametrize(
    ("region", "message", "fix"),
    [
        ("EU-Central-1", "is not a region", "write eu-central-1"),
        ("eu_central_1", "is not a region", "write eu-central-1"),
        ("eu-central-1a", "is an availability zone", "write eu-central-1"),
        ("eu-centrall-1", "is not a region", "did you mean eu-central-1?"),
        ("us-east1", "is not a region", "did you mean us-east-1?"),
        ("useast1", "is not a region", "did you mean us-east-1?"),
        ("frankfurt", "is not a region", "for example eu-central-1"),
        ("eu-central-0", "is not a region", ""),
        ("", "is not a region", ""),
    ],
)
def test_a_region_is_a_name_of_aws(region: str, message: str, fix: str) -> None:
    finding = only(findings_of(eks_changed(("region: eu-central-1", f"region: {quoted(region)}"))))
    assert (finding.key, finding.check) == ("region", "region")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    "region",
    ["us-east-1", "ap-southeast-7", "us-gov-west-1", "cn-northwest-1", "eusc-de-east-1", "il-central-1"],
)
def test_every_kind_of_region_is_accepted(region: str) -> None:
    assert findings_of(eks_changed(("eu-central-1", region))) == ()


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [
        ("1.35.2", "is a patch version; EKS chooses the patch release itself", 'write "1.35"'),
        ("v1.35", "begins with v", 'write "1.35"'),
        ("v1.34.1", "is a patch version", 'write "1.34"'),
        ("1.34.1-eks-1", "is a patch version", 'write "1.34"'),
        ("latest", "is not a minor version of Kubernetes", 'write "1.35"'),
        ("1", "is not a minor version", ""),
        ("1.035", "is not a minor version", ""),
        ("2.10", "is not a minor version", ""),
        ("", "is not a minor version", ""),
    ],
)
def test_a_version_is_a_minor_one(version: str, message: str, fix: str) -> None:
    finding = only(findings_of(eks_changed(('"1.35"', quoted(version)))))
    assert (finding.key, finding.check) == ("kubernetes", "kubernetes-version")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("cidr", "message", "fix"),
    [
        ("10.0.0.0/15", "is too large; /16 to /24 is possible", "192.168.0.0/16"),
        ("10.0.0.0/25", "is too small; /16 to /24 is possible", ""),
        ("10.1.2.3/16", "has address bits set behind the prefix", "did you mean 10.1.0.0/16?"),
        ("10.0.0.0", "has no prefix length", ""),
        ("8.8.0.0/16", "is not private; a range within 10.0.0.0/8, 172.16.0.0/12", ""),
        ("172.32.0.0/16", "is not private", ""),
        ("127.0.0.0/16", "is reserved", ""),
        ("fd00::/48", "IPv6 ranges are not supported yet", ""),
    ],
)
def test_a_vpc_has_a_private_range_for_two_or_three_zones(cidr: str, message: str, fix: str) -> None:
    finding = only(findings_of(vpc(f'cidr: "{cidr}"')))
    assert finding.key == "vpc.cidr"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        ("10.100.0.0/11", "has address bits set"),
        ("10.96.0.0/11", "is too large; /12 to /24 is possible"),
        ("10.100.0.0/25", "is too small; /12 to /24 is possible"),
        (
            "100.64.0.0/16",
            "is not private; a range within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 is needed",
        ),
        ("services", "is not a range"),
    ],
)
def test_services_have_a_range_that_eks_accepts(cidr: str, message: str) -> None:
    finding = only(findings_of(eks_changed(add=f"service_cidr: {cidr}\n")))
    assert finding.key == "service_cidr"
    assert message in finding.message


@pytest.mark.parametrize(
    ("cidr", "message", "fix"),
    [
        ("203.0.113.7", "has no prefix length", "write 203.0.113.7/32"),
        ("203.0.113.7/24", "has address bits set", "did you mean 203.0.113.0/24?"),
        (
            "10.0.0.0/8",
            "is private: the public endpoint gets no requests from such addresses",
            "public addresses",
        ),
        ("office", "is not a range", ""),
    ],
)
def test_ranges_of_the_public_endpoint_are_public(cidr: str, message: str, fix: str) -> None:
    finding = only(findings_of(eks_changed(("203.0.113.0/24", cidr))))
    assert finding.key == "endpoint.public_cidrs[0]"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("profile", ["", "[default]", " a", "a" * 129])
def test_a_profile_is_the_name_of_a_section(profile: str) -> None:
    finding = only(findings_of(eks_changed(add=f'profile: "{profile}"\n')))
    assert (finding.key, finding.check) == ("profile", "profile")
    assert eks_file(eks_changed(add="profile: team/production 1\n")).cluster.profile == "team/production 1"


@pytest.mark.parametrize("kind", ["private", "public"])
@pytest.mark.parametrize("subnet", ["vpc-0a1b2c3d", "subnet-xyz", "subnet-0a1b2c3", "eu-central-1a", ""])
def test_an_existing_subnet_is_named_by_its_id(subnet: str, kind: str) -> None:
    text = group(f"subnets: {kind}") + f'vpc: {{subnets: {{{kind}: ["{subnet}", subnet-0a1b2c3d]}}}}\n'
    finding = only(findings_of(text))
    assert (finding.key, finding.check) == (f"vpc.subnets.{kind}[0]", "subnet")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a node group has no name"),
        ("a" * 64, "has 64 characters; at most 63"),
        ("-a", "begins with `-`"),
        ("a.b", "is not a name for a node group"),
        ("a b", "is not a name for a node group"),
    ],
)
def test_a_node_group_has_a_name_that_eks_accepts(name: str, message: str) -> None:
    finding = only(findings_of(eks_changed(("workers", quoted(name)))))
    assert finding.key == "node_groups[0].name"
    assert message in finding.message


@pytest.mark.parametrize("name", ["a", "A_b-9", "9", "a" * 63])
def test_a_good_node_group_name_is_accepted(name: str) -> None:
    assert findings_of(eks_changed(("workers", quoted(name)))) == ()


@pytest.mark.parametrize(
    ("kind", "message", "fix"),
    [
        ("m7i", "m7i has no size", "for example m7i.large"),
        ("M7i.Large", "is not an instance type", "write m7i.large"),
        ("m7i.huge", "is not an instance type", "for example m7i.large"),
        ("large", "is not an instance type", ""),
        ("", "is not an instance type", ""),
    ],
)
def test_an_instance_type_has_a_family_and_a_size(kind: str, message: str, fix: str) -> None:
    finding = only(findings_of(group(f'instance_types: ["{kind}"]')))
    assert finding.key == "node_groups[0].instance_types[0]"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("m7g.large", "arm64"),
        ("t4g.nano", "arm64"),
        ("c7gn.16xlarge", "arm64"),
        ("im4gn.large", "arm64"),
        ("g5g.xlarge", "arm64"),
        ("x2gd.metal", "arm64"),
        ("a1.metal", "arm64"),
        ("p6e-gb200.36xlarge", "arm64"),
        ("m7i.large", "amd64"),
        ("m7i-flex.large", "amd64"),
        ("g4dn.xlarge", "amd64"),
        ("g6e.12xlarge", "amd64"),
        ("gr6.4xlarge", "amd64"),
        ("u-6tb1.112xlarge", "amd64"),
        ("u7i-12tb.224xlarge", "amd64"),
        ("m7i.metal-24xl", "amd64"),
        ("i7ie.48xlarge", "amd64"),
        ("p5.48xlarge", "amd64"),
        ("nonsense", ""),
    ],
)
def test_the_architecture_is_read_from_the_name(kind: str, said: str) -> None:
    assert architecture(kind) == said
    assert not said or findings_of(group(f"instance_types: [{kind}]")) == ()


@pytest.mark.parametrize(
    ("size", "good"), [(19, False), (20, True), (16384, True), (16385, False), (-1, False)]
)
def test_a_disk_has_a_size_that_the_image_fits_on_and_ebs_has(size: int, good: bool) -> None:  # noqa: FBT001
    found = findings_of(group(f"disk: {size}"))
    assert [finding.key for finding in found] == ([] if good else ["node_groups[0].disk"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{kubernetes.io/role: x}", "labels below kubernetes.io are set by Kubernetes and EKS"),
        ("{node-role.kubernetes.io/worker: x}", "labels below kubernetes.io"),
        ("{x.k8s.io/a: b}", "labels below k8s.io"),
        ("{eks.amazonaws.com/nodegroup: x}", "labels below eks.amazonaws.com"),
        ('{a b: "1"}', "the label's name"),
        ("{a: b c}", "the label's value"),
    ],
)
def test_a_label_is_one_that_the_kubelet_may_set(labels: str, message: str) -> None:
    finding = only(findings_of(group(f"labels: {labels}")))
    assert finding.key.startswith("node_groups[0].labels")
    assert message in finding.message


@pytest.mark.parametrize("labels", ["{node.kubernetes.io/pool: a}", "{example.com/a: b}", '{disk: ""}'])
def test_a_good_label_is_accepted(labels: str) -> None:
    assert findings_of(group(f"labels: {labels}")) == ()


@pytest.mark.parametrize("taint", ["a", "a=b", "a:NoScedule", "a b:NoSchedule"])
def test_a_taint_is_one_that_kubernetes_accepts(taint: str) -> None:
    assert only(findings_of(group(f'taints: ["{taint}"]'))).key == "node_groups[0].taints[0]"


@pytest.mark.parametrize(
    ("addon", "severity", "message", "fix"),
    [
        ("ebs-csi-driver", "error", "EKS has no add-on ebs-csi-driver", "write aws-ebs-csi-driver"),
        ("a/b", "error", "is not the name of an add-on", ""),
        ("", "error", "is not the name of an add-on", ""),
        ("coredsn", "warning", "is not an add-on that this release knows", "did you mean coredns?"),
    ],
)
def test_an_addon_is_called_as_eks_calls_it(addon: str, severity: str, message: str, fix: str) -> None:
    known = "{name: vpc-cni}, {name: kube-proxy}"
    finding = only(findings_of(eks_changed(add=f'addons: [{known}, {{name: "{addon}"}}]\n')))
    assert (finding.key, finding.severity) == ("addons[2].name", severity)
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("name", ["datadog_operator", "snapshot-controller", "upbound_universal-crossplane"])
def test_an_addon_that_this_release_does_not_know_is_accepted(name: str) -> None:
    known = "{name: vpc-cni}, {name: kube-proxy}"
    assert findings_of(eks_changed(add=f"addons: [{known}, {{name: {name}}}]\n")) == ()


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("1.20.1-eksbuild.1", "write v1.20.1-eksbuild.1"),
        ("latest", "take the key out"),
        ("v1.20", ""),
        ("default", ""),
    ],
)
def test_an_addons_version_is_an_exact_one(version: str, fix: str) -> None:
    text = f"addons: [{{name: vpc-cni, version: {version}}}, {{name: kube-proxy}}]\n"
    finding = only(findings_of(eks_changed(add=text)))
    assert finding.key == "addons[0].version"
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("arn", "message", "fix"),
    [
        (
            "arn:aws:sts::123456789012:assumed-role/platform/jane",
            "is a session of a role",
            "write the role: arn:aws:iam::123456789012:role/platform",
        ),
        ("arn:aws:iam::123456789012:group/admins", "is a group", "list its users"),
        ("arn:aws:iam::123456789012:root", "is a whole account", ""),
        ("arn:aws:iam::1234:role/platform", "has no 12 digits", ""),
        ("arn:aws:iam::aws:policy/AdministratorAccess", "is not the ARN of an IAM user or role", ""),
        ("platform", "is not the ARN of an IAM user or role", "arn:aws:iam::123456789012:role/platform"),
        (
            "arn:aws-cn:iam::123456789012:role/x",
            "is of partition aws-cn; region eu-central-1 is of aws",
            "arn:aws:iam",
        ),
    ],
)
def test_an_administrator_is_a_user_or_a_role(arn: str, message: str, fix: str) -> None:
    finding = only(findings_of(eks_changed(add=f"access: {{admins: [{arn}]}}\n")))
    assert finding.key == "access.admins[0]"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    "arn",
    [
        ROLE,
        "arn:aws:iam::123456789012:user/ops/jane.doe@example.com",
        "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef",
    ],
)
def test_users_and_roles_with_paths_are_accepted(arn: str) -> None:
    assert eks_file(eks_changed(add=f'access: {{admins: ["{arn}"]}}\n')).cluster.access.admins == (arn,)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("namespace: Kube, service_account: a", "namespace"),
        ("namespace: a.b, service_account: a", "namespace"),
        ("namespace: a, service_account: A", "service_account"),
    ],
)
def test_a_pod_identity_names_a_namespace_and_a_service_account(more: str, key: str) -> None:
    finding = only(findings_of(eks_changed(add=f"pod_identities: [{{{more}, role_arn: {ROLE}}}]\n")))
    assert finding.key == f"pod_identities[0].{key}"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("role_arn: platform", "role_arn"),
        ("role_arn: arn:aws:iam::123456789012:user/x", "role_arn"),
        ("policy_arns: [AmazonS3ReadOnlyAccess]", "policy_arns[0]"),
        (f"policy_arns: [{ROLE}]", "policy_arns[0]"),
    ],
)
def test_a_pod_identity_has_arns_of_the_right_kind(more: str, key: str) -> None:
    text = f"pod_identities: [{{namespace: a, service_account: b, {more}}}]\n"
    assert only(findings_of(eks_changed(add=text))).key == f"pod_identities[0].{key}"


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("alias/eks", "is an alias"),
        ("arn:aws:kms:eu-central-1:123456789012:alias/eks", "is an alias"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "is not the ARN of a KMS key"),
        (
            "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "the key is in eu-west-1, the cluster in eu-central-1",
        ),
    ],
)
def test_the_encryption_key_is_a_key_of_the_region(arn: str, message: str) -> None:
    finding = only(findings_of(eks_changed(add=f"encryption_key: {arn}\n")))
    assert finding.key == "encryption_key"
    assert message in finding.message


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("aws:team: x", "begins with aws:, which AWS reserves"),
        ("AWS:team: x", "begins with aws:"),
        ("provision/cluster: x", "begins with provision/, which provision reserves"),
        ("kubernetes.io/cluster/x: owned", "begins with kubernetes.io/"),
        (f"{'a' * 129}: x", "has 129 characters; at most 128 are allowed"),
        (f"a: {'x' * 257}", "has 257 characters; at most 256 are allowed"),
        ("a: x*y", "has characters that AWS does not accept"),
    ],
)
def test_a_tag_is_one_that_aws_accepts_and_no_controller_reserves(tag: str, message: str) -> None:
    finding = only(findings_of(eks_changed(add=f"tags:\n  {tag}\n")))
    assert finding.check == "tag"
    assert message in finding.message


@pytest.mark.parametrize(
    "value", ["{{ lookup('env','HOME') }}", "$(id)", "`id`", "a; b", "-x", "a\nb", "a'b"]
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: demo", "name: {}"),
        ("region: eu-central-1", "region: {}"),
        ('"1.35"', "{}"),
        ("region:", "profile: {}\nregion:"),
        ("name: workers", "name: {}"),
        ("[m7i.large]", "[{}]"),
        ("name: workers", "name: workers, labels: {{x: {}}}"),
        ("name: workers", "name: workers, taints: [{}]"),
        ("region:", "tags: {{x: {}}}\nregion:"),
        ("region:", "tags: {{{}: x}}\nregion:"),
        ("region:", "encryption_key: {}\nregion:"),
        ("region:", "access: {{admins: [{}]}}\nregion:"),
    ],
)
def test_no_text_is_a_template_a_command_or_an_option(old: str, new: str, value: str) -> None:
    finding = only(findings_of(eks_changed((old, new.format(quoted(value))))))
    assert finding.check == "plain-text"
