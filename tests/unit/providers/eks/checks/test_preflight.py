"""The questions of preflight, asked over HTTP of the account of the tests."""

from __future__ import annotations

import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provision.engine.events import Event, Observed
from provision.errors import CheckError, UnreachableError
from provision.model.eks import NodeGroup, Vpc
from provision.providers.eks.aws.account import account_of, region_problem
from provision.providers.eks.checks import check
from provision.providers.eks.checks.context import ADDRESSES, NATS, ON_DEMAND, SPOT, VPCS
from provision.providers.eks.checks.preflight import observe_preflight
from provision.providers.eks.operations.observe import observe
from provision.providers.eks.pricing.prices import live
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.checks.context import Preflight
    from provision.providers.eks.facts import Observation
    from tests.aws.account import AwsAccount


def look(asked: EksCluster, account: Account) -> Observation:
    return observe(asked, account, lambda _: None)


def preflight(asked: EksCluster) -> Preflight:
    account = account_of(asked)
    return observe_preflight(asked, account, look(asked, account), lambda _: None)


def findings(asked: EksCluster) -> tuple[Finding, ...]:
    account = account_of(asked)
    observed = look(asked, account)
    return check(asked, observed, observe_preflight(asked, account, observed, lambda _: None))


def only(asked: EksCluster) -> Finding:
    found = findings(asked)
    assert len(found) == 1, [finding.message for finding in found]
    return found[0]


@pytest.fixture(autouse=True)
def no_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_an_empty_account_has_no_findings(aws: AwsAccount) -> None:
    assert findings(factories.cluster()) == ()
    assert aws.mutating_calls == ()


def test_everything_that_a_new_cluster_depends_on_is_read_once(aws: AwsAccount) -> None:
    asked, recorded = factories.cluster(), list[Event]()
    account = account_of(asked)
    observed = look(asked, account)
    aws.forget_calls()
    found = observe_preflight(asked, account, observed, recorded.append)
    count = Counter(call.operation for call in aws.calls)
    assert {name: number for name, number in count.items() if number > 1} == {
        "GetServiceQuota": 4,
        "SimulatePrincipalPolicy": 8,
        "DescribeAddonVersions": 5,
    }
    assert set(found.limits) == {VPCS, ADDRESSES, NATS, ON_DEMAND}
    assert set(found.limits) <= set(found.used)
    assert found.machines
    assert found.machines["m7i.large"].vcpus == 2
    assert found.machines["m7i.large"].architecture == "x86_64"
    assert found.calendar
    assert found.calendar.source == ""
    assert set(found.addons) == {addon.name for addon in asked.addons}
    assert all(offer.versions and offer.default in offer.versions for offer in found.addons.values())
    assert found.unanswered == ()
    assert [event.host for event in recorded if isinstance(event, Observed)] == ["account"]


def test_limits_and_use_are_those_of_the_account(aws: AwsAccount) -> None:
    ec2 = aws.operator().client("ec2")
    aws.states.quota(VPCS, 7)
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    ec2.allocate_address(Domain="vpc")
    found = preflight(factories.cluster())
    assert found.limits[VPCS] == 7
    assert (found.used[VPCS], found.used[ADDRESSES], found.used[NATS]) == (2, 1, 0)
    assert found.left(VPCS) == 5
    assert found.vpcs
    assert ("10.0.0.0/16",) in found.vpcs.values()


def test_running_instances_are_counted_in_vcpus_on_demand_and_spot_apart(aws: AwsAccount) -> None:
    ec2 = aws.operator().client("ec2")
    image = "ami-0123456789abcdef0"
    ec2.run_instances(ImageId=image, InstanceType="m7i.large", MinCount=3, MaxCount=3)
    ec2.run_instances(ImageId=image, InstanceType="g5.xlarge", MinCount=1, MaxCount=1)
    stopped = ec2.run_instances(ImageId=image, InstanceType="m7i.large", MinCount=1, MaxCount=1)["Instances"]
    ec2.stop_instances(InstanceIds=[stopped[0]["InstanceId"]])
    found = preflight(factories.cluster())
    cores: Any = ec2.describe_instances(Filters=[{"Name": "instance-type", "Values": ["m7i.large"]}])
    each = cores["Reservations"][0]["Instances"][0].get("CpuOptions", {"CoreCount": 1, "ThreadsPerCore": 1})
    assert found.used[ON_DEMAND] == 3 * each["CoreCount"] * each["ThreadsPerCore"]
    assert found.used[SPOT] == 0


def test_a_used_up_quota_is_reported_before_anything_is_created(aws: AwsAccount) -> None:
    aws.states.quota(VPCS, 1)
    finding = only(factories.cluster())
    assert (
        finding.message
        == 'the quota "VPCs per Region" (L-F678F1CE) of eu-central-1 is 1: 1 are used, 1 more needed'
    )


def test_a_zone_that_does_not_offer_the_type_is_named_with_those_that_do(aws: AwsAccount) -> None:
    aws.states.offer("m7i.large", ["eu-central-1a", "eu-central-1b"])
    finding = only(factories.cluster(vpc=Vpc(zones=("eu-central-1a", "eu-central-1c"))))
    assert finding.message == "eu-central-1c does not offer m7i.large"
    assert "eu-central-1a, eu-central-1b" in finding.fix


def test_an_unknown_instance_type_is_reported(aws: AwsAccount) -> None:
    del aws
    groups = (NodeGroup(name="workers", instance_types=("m7i.larg",)),)
    assert {finding.check for finding in findings(factories.cluster(node_groups=groups))} == {"instance-type"}


def test_a_version_that_eks_does_not_offer_is_reported(aws: AwsAccount) -> None:
    del aws
    assert "kubernetes-version" in {
        finding.check for finding in findings(factories.cluster(kubernetes="1.20"))
    }


def test_a_query_without_permission_is_a_warning_and_stops_nothing(aws: AwsAccount) -> None:
    aws.states.deny("GetServiceQuota")
    finding = only(factories.cluster())
    assert (finding.severity, finding.check) == ("warning", "not-checked")
    assert finding.message.count("the quota") == 4
    assert "servicequotas:GetServiceQuota" in finding.message or "GetServiceQuota" in finding.message


def test_without_the_list_of_versions_the_bundled_table_is_used(aws: AwsAccount) -> None:
    aws.states.deny("DescribeClusterVersions")
    asked = factories.cluster(kubernetes="1.33")
    account = account_of(asked)
    observed = look(asked, account)
    found = observe_preflight(asked, account, observed, lambda _: None)
    assert found.calendar is None
    assert [one.what for one in found.unanswered] == ["the versions of Kubernetes"]
    assert "extended-support" in {one.check for one in check(asked, observed, found)}


def test_credentials_that_expire_during_the_queries_stop_at_once(aws: AwsAccount) -> None:
    asked = factories.cluster()
    account = account_of(asked)
    observed = look(asked, account)
    aws.states.expire_credentials(after=0)
    with pytest.raises(UnreachableError, match="expired"):
        observe_preflight(asked, account, observed, lambda _: None)


def test_credentials_of_the_environment_say_when_they_expire(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    del aws
    assert preflight(factories.cluster()).expires is None
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2100-01-01T00:00:00Z")
    found = observe_preflight(
        factories.cluster(), account_of(factories.cluster()), factories.running(), lambda _: None
    )
    assert found.expires == 4102444800.0


def test_nothing_is_read_for_a_cluster_without_differences(aws: AwsAccount) -> None:
    recorded: list[Event] = []
    found = observe_preflight(
        factories.cluster(), account_of(factories.cluster()), factories.running(), recorded.append
    )
    assert (aws.calls, recorded) == ((), [])
    assert (found.machines, found.calendar, found.vpcs) == (None, None, None)


def test_the_kubectl_on_path_prints_its_version_and_contacts_no_cluster(
    aws: AwsAccount, no_kubectl: Path
) -> None:
    del aws
    program = executable(
        no_kubectl / "kubectl",
        '#!/bin/sh\n[ "$*" = "version --client --output json" ] || exit 1\n'
        'echo \'{"clientVersion": {"gitVersion": "v1.31.4-eks-1"}}\'\n',
    )
    found = preflight(factories.cluster())
    assert found.kubectl
    assert (found.kubectl.path, found.kubectl.version) == (str(program), "1.31")
    assert "kubectl" in {finding.check for finding in check(factories.cluster(), factories.nothing(), found)}


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n", "#!/bin/sh\necho '{}'\n"]
)
def test_a_kubectl_without_output_is_no_finding(aws: AwsAccount, no_kubectl: Path, text: str) -> None:
    del aws
    executable(no_kubectl / "kubectl", text)
    assert findings(factories.cluster()) == ()


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_live_prices_come_from_the_account_of_the_tests_too(aws: AwsAccount) -> None:
    found = live(factories.cluster(), account_of(factories.cluster()))
    assert found.instances["m7i.large"] == 0.1197
    assert {call.operation for call in aws.calls} == {"GetProducts"}


def test_a_region_that_is_not_enabled_is_reported_as_such(aws: AwsAccount) -> None:
    listed = aws.operator().client("ec2").describe_regions(AllRegions=True)["Regions"]
    off = next(one["RegionName"] for one in listed if one["OptInStatus"] == "not-opted-in")
    finding = region_problem(account_of(factories.cluster(region=off)), ask=True)
    assert finding
    assert finding.message == f"the region {off} is not enabled in this account"
    assert f"aws account enable-region --region-name {off}" in finding.fix


def test_a_region_that_answers_is_no_problem(aws: AwsAccount) -> None:
    del aws
    assert region_problem(account_of(factories.cluster()), ask=True) is None


def test_a_missing_eksctl_is_reported_before_anything_is_created(aws: AwsAccount) -> None:
    del aws
    finding = only(factories.cluster(backend="eksctl"))
    assert finding.message == "there is no eksctl on PATH, which `backend: eksctl` requires"


def test_prices_without_permission_are_an_error_with_a_fix(aws: AwsAccount) -> None:
    aws.states.deny("GetProducts")
    with pytest.raises(CheckError, match="pricing:GetProducts"):
        live(factories.cluster(), account_of(factories.cluster()))
