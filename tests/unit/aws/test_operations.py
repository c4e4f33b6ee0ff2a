"""Every handler, called as a tool would: its answers fit botocore's shapes, or the call fails with ShimError."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.account import AwsAccount
from tests.aws.eks.access import ADMIN
from tests.aws.eks.operations import OPERATIONS
from tests.unit.aws.factories import ROLE, asked_cluster, make_cluster, make_ground, make_group, settle

DEMO = {"clusterName": "demo"}


def test_every_operation_answers_in_its_shape(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    key = aws.operator().client("kms").create_key()["KeyMetadata"]["Arn"]
    cluster = make_cluster(aws, ground, tags={"team": "a"})
    _addons(eks)
    group = make_group(aws, ground)
    _access(eks)
    _identities(eks)
    _fargate(eks, ground.subnets)
    _updates(eks, key)
    for arn in (cluster["arn"], group["nodegroupArn"]):
        eks.tag_resource(resourceArn=arn, tags={"more": "yes", "gone": "soon"})
        eks.untag_resource(resourceArn=arn, tagKeys=["gone"])
        assert eks.list_tags_for_resource(resourceArn=arn)["tags"]["more"] == "yes"
    assert eks.describe_cluster(name="demo")["cluster"]["tags"] == {"team": "a", "more": "yes"}
    _delete(eks)

    called = {call.operation for call in aws.calls if call.service == "eks"}
    assert set(OPERATIONS) - called == set()


def _addons(eks: Any) -> None:
    listed = eks.describe_addon_versions(addonName="coredns", kubernetesVersion="1.34")["addons"][0][
        "addonVersions"
    ]
    default = [each["addonVersion"] for each in listed if each["compatibilities"][0]["defaultVersion"]]
    assert len(default) == 1
    made = eks.create_addon(addonName="coredns", tags={"a": "b"}, **DEMO)["addon"]
    assert (made["addonVersion"], made["status"]) == (default[0], "CREATING")
    settle(eks.describe_addon, "addon", "DEGRADED", addonName="coredns", **DEMO)
    associations = [{"serviceAccount": "ebs-csi-controller-sa", "roleArn": f"{ROLE}pod"}]
    eks.create_addon(addonName="aws-ebs-csi-driver", podIdentityAssociations=associations, **DEMO)
    settle(eks.describe_addon, "addon", "DEGRADED", addonName="aws-ebs-csi-driver", **DEMO)
    assert eks.list_addons(**DEMO)["addons"] == ["aws-ebs-csi-driver", "coredns"]


def _access(eks: Any) -> None:
    entry = {**DEMO, "principalArn": f"{ROLE}pod"}
    eks.create_access_entry(**entry, tags={"a": "b"})
    eks.update_access_entry(**entry, kubernetesGroups=["viewers"])
    assert eks.describe_access_entry(**entry)["accessEntry"]["kubernetesGroups"] == ["viewers"]
    eks.associate_access_policy(**entry, policyArn=ADMIN, accessScope={"type": "cluster"})
    assert eks.list_associated_access_policies(**entry)["associatedAccessPolicies"][0]["policyArn"] == ADMIN
    assert f"{ROLE}pod" in eks.list_access_entries(**DEMO, associatedPolicyArn=ADMIN)["accessEntries"]
    eks.disassociate_access_policy(**entry, policyArn=ADMIN)
    eks.delete_access_entry(**entry)
    assert f"{ROLE}pod" not in eks.list_access_entries(**DEMO)["accessEntries"]
    assert ADMIN in [each["arn"] for each in eks.list_access_policies()["accessPolicies"]]


def _identities(eks: Any) -> None:
    made = eks.create_pod_identity_association(
        namespace="apps", serviceAccount="web", roleArn=f"{ROLE}pod", tags={"a": "b"}, **DEMO
    )["association"]
    own = {**DEMO, "associationId": made["associationId"]}
    eks.update_pod_identity_association(**own, disableSessionTags=True)
    assert eks.describe_pod_identity_association(**own)["association"]["disableSessionTags"] is True
    listed = eks.list_pod_identity_associations(namespace="apps", **DEMO)["associations"]
    assert [each["serviceAccount"] for each in listed] == ["web"]
    eks.delete_pod_identity_association(**own)


def _fargate(eks: Any, subnets: list[str]) -> None:
    own = {**DEMO, "fargateProfileName": "batch"}
    eks.create_fargate_profile(
        **own, podExecutionRoleArn=f"{ROLE}fargate", subnets=subnets, selectors=[{"namespace": "batch"}]
    )
    settle(eks.describe_fargate_profile, "fargateProfile", **own)
    assert eks.list_fargate_profiles(**DEMO)["fargateProfileNames"] == ["batch"]
    eks.delete_fargate_profile(**own)
    assert _gone(eks.describe_fargate_profile, **own)


def _updates(eks: Any, key: str) -> None:
    logs = {"clusterLogging": [{"types": ["audit"], "enabled": True}]}
    _finish(eks, eks.update_cluster_config(name="demo", logging=logs), name="demo")
    shown = eks.describe_cluster(name="demo")["cluster"]
    assert shown["logging"]["clusterLogging"][0] == {"types": ["audit"], "enabled": True}
    assert len(shown["resourcesVpcConfig"]["subnetIds"]) == 2
    config = [{"resources": ["secrets"], "provider": {"keyArn": key}}]
    _finish(eks, eks.associate_encryption_config(clusterName="demo", encryptionConfig=config), name="demo")
    assert [
        each["clusterVersion"] for each in eks.describe_cluster_versions(defaultOnly=True)["clusterVersions"]
    ]
    _finish(eks, eks.update_cluster_version(name="demo", version="1.35"), name="demo")
    group = {**DEMO, "nodegroupName": "workers"}
    part = {"name": "demo", "nodegroupName": "workers"}
    scaling = {"minSize": 1, "desiredSize": 3, "maxSize": 3}
    labels = {"addOrUpdateLabels": {"disk": "ssd"}}
    _finish(eks, eks.update_nodegroup_config(**group, scalingConfig=scaling, labels=labels), **part)
    _finish(eks, eks.update_nodegroup_version(**group), **part)
    shown = eks.describe_nodegroup(**group)["nodegroup"]
    assert (shown["version"], shown["labels"], shown["scalingConfig"]) == ("1.35", {"disk": "ssd"}, scaling)
    addon = {**DEMO, "addonName": "coredns"}
    update = eks.update_addon(**addon, addonVersion="v1.13.2-eksbuild.1", resolveConflicts="OVERWRITE")
    _finish(eks, update, name="demo", addonName="coredns")
    assert eks.describe_addon(**addon)["addon"]["addonVersion"] == "v1.13.2-eksbuild.1"


def _finish(eks: Any, answer: dict[str, Any], **part: str) -> None:
    own = answer["update"]["id"]
    assert answer["update"]["status"] == "InProgress"
    assert own in eks.list_updates(**part)["updateIds"]
    settle(eks.describe_update, "update", "Successful", updateId=own, **part)


def _delete(eks: Any) -> None:
    for name in ("coredns", "aws-ebs-csi-driver"):
        eks.delete_addon(addonName=name, **DEMO)
        assert _gone(eks.describe_addon, addonName=name, **DEMO)
    assert eks.list_pod_identity_associations(**DEMO)["associations"] == []
    eks.delete_nodegroup(nodegroupName="workers", **DEMO)
    while eks.list_nodegroups(**DEMO)["nodegroups"]:
        pass
    eks.delete_cluster(name="demo")
    while eks.list_clusters()["clusters"]:
        pass


def _gone(describe: Any, **given: str) -> bool:
    for _ in range(5):
        try:
            describe(**given)
        except ClientError as error:
            return error.response["Error"]["Code"] == "ResourceNotFoundException"
    return False


def test_a_listing_comes_in_pages(aws: AwsAccount) -> None:
    make_cluster(aws, make_ground(aws))
    eks = aws.client("eks")
    for name in ("vpc-cni", "coredns", "kube-proxy"):
        eks.create_addon(addonName=name, **DEMO)

    first = eks.list_addons(maxResults=2, **DEMO)
    rest = eks.list_addons(maxResults=2, nextToken=first["nextToken"], **DEMO)

    assert first["addons"] + rest["addons"] == ["coredns", "kube-proxy", "vpc-cni"]
    assert "nextToken" not in rest


def test_the_same_token_creates_once(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    asked = asked_cluster(ground, clientRequestToken="same")
    first = eks.create_cluster(**asked)["cluster"]

    again = eks.create_cluster(**asked)["cluster"]
    with pytest.raises(ClientError, match="other parameters"):
        eks.create_cluster(**{**asked, "version": "1.33"})
    with pytest.raises(ClientError) as other:
        eks.create_cluster(**{**asked, "clientRequestToken": "other"})

    assert again["resourcesVpcConfig"] == first["resourcesVpcConfig"]
    assert other.value.response["Error"]["Code"] == "ResourceInUseException"
