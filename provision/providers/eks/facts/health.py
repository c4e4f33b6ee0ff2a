"""What EKS says is wrong with a resource, in words with a way out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.providers.eks.facts import HealthIssue

_INTERNET = "the private subnets need a NAT gateway (`vpc.nat`), public ones public addresses"
# Code: (the likely cause, the fix). Codes are those of the EKS API for clusters, node groups, add-ons and Fargate.
_KNOWN = {
    "NodeCreationFailure": (
        "the machines started but did not join: they cannot reach the API server or the registries",
        f"check routes and DNS of the subnets: {_INTERNET}; then run the same command again",
    ),
    "AsgInstanceLaunchFailures": (
        "AWS could not start the machines: no capacity for the instance types in these zones, or a quota",
        "write more instance types or `capacity: on-demand` to the node group, or another group beside it",
    ),
    "InstanceLimitExceeded": (
        "the quota of vCPUs is used up",
        "have it raised in Service Quotas (L-1216C47A of ec2 for on-demand), or write smaller instance types",
    ),
    "Ec2InstanceTypeDoesNotExist": (
        "the region does not offer that instance type",
        "write another one to `instance_types`",
    ),
    "InsufficientFreeAddresses": (
        "the subnets have no free addresses left",
        "use larger subnets, or delete what uses their addresses",
    ),
    "IamNodeRoleNotFound": (
        "the role of the nodes is gone",
        "run the same command again: it creates it again",
    ),
    "IamRoleNotFound": ("the role of the cluster is gone", "run the same command again: it creates it again"),
    "IamInstanceProfileNotFound": (
        "the instance profile of the nodes was deleted",
        "take the node group out of the file, apply, and write it back",
    ),
    "AccessDenied": (
        "the role lacks permissions, or the nodes' access entry is gone",
        "run the same command again: it attaches the policies; see `aws eks list-access-entries`",
    ),
    "AutoScalingGroupNotFound": (
        "the Auto Scaling group of the nodes was deleted",
        "take the node group out of the file, apply, and write it back",
    ),
    "Ec2SubnetNotFound": ("a subnet of it was deleted", "create the node group under another name"),
    "Ec2SubnetInvalidConfiguration": (
        "the public subnets do not give public addresses to machines",
        "turn on auto-assign of public IPv4 addresses for these subnets, or use private ones",
    ),
    "Ec2SecurityGroupNotFound": ("the security group of the cluster was deleted", "ask AWS support"),
    "ClusterUnreachable": (
        "EKS cannot reach the cluster's API server",
        "check that the subnets and the security group of the cluster are as they were made",
    ),
    "InsufficientNumberOfReplicas": (
        "its pods do not run: there is no node with room for them, or their images cannot be pulled",
        f"look at `kubectl get pods -n kube-system -o wide`; {_INTERNET}",
    ),
    "ConfigurationConflict": (
        "the add-on's objects were changed by hand",
        "write its `version` to the file, or delete the changed objects",
    ),
    "AdmissionRequestDenied": ("an admission webhook of the cluster refused it", "mend that webhook"),
    "UnsupportedAddonModification": ("that version cannot follow the present one", "write another `version`"),
    "AddonPermissionFailure": (
        "its pods lack AWS permissions",
        "write its service account to `pod_identities` with the policy that it needs",
    ),
    "PodExecutionRoleAlreadyInUse": (
        "another cluster uses the role of Fargate",
        "run the same command again",
    ),
    "KmsKeyNotFound": ("the key that encrypts Secrets was deleted", "restore the key"),
    "KmsKeyDisabled": ("the key that encrypts Secrets is disabled", "enable the key"),
    "KmsKeyMarkedForDeletion": ("the key that encrypts Secrets will be deleted", "cancel the key's deletion"),
    "KmsGrantRevoked": ("EKS may not use the key that encrypts Secrets", "restore the grant"),
    "UnsupportedVersion": ("the Kubernetes version is past its support", "write a newer one to `kubernetes`"),
    "VpcNotFound": ("the VPC of the cluster was deleted", "`provision reset`, then `provision apply`"),
    "PodEvictionFailure": (
        "a PodDisruptionBudget keeps pods on their nodes",
        "see `kubectl get pdb -A`: allow a disruption, or add a replica; then run the same command again",
    ),
    "IpNotAvailable": (
        "the subnets have no free addresses left",
        "use larger subnets, or delete what uses their addresses",
    ),
    "SubnetNotFound": ("a subnet of it was deleted", "create the subnet again, or another cluster"),
    "InternalFailure": ("AWS failed inside", "run the same command again"),
}


def explain(issues: Iterable[HealthIssue]) -> tuple[str, str]:
    """The likely cause and the fix of the first issue that we know; two empty texts otherwise."""
    return next((_KNOWN[issue.code] for issue in issues if issue.code in _KNOWN), ("", ""))


def sentence(issue: HealthIssue) -> str:
    """One issue in a line: `NodeCreationFailure: instances failed to join the cluster (i-0a1b, i-0c2d)`."""
    said = " ".join(issue.message.split()).rstrip(".")
    held = f" ({', '.join(issue.resources)})" if issue.resources else ""
    return f"{issue.code}: {said}{held}" if said else f"{issue.code}{held}"
