"""Every operation of EKS that the account has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.aws.eks import (
    access,
    addons,
    cluster_changes,
    clusters,
    fargate,
    identities,
    nodegroups,
    tags,
    updates,
    versions,
)
from tests.aws.eks.resources import Eks

Handler = Callable[[Eks, dict[str, Any]], dict[str, Any]]


def _named(*handlers: Handler) -> dict[str, Handler]:
    """Handlers by operation name: create_addon handles CreateAddon."""
    return {re.sub(r"(?:^|_)(\w)", lambda m: m[1].upper(), each.__name__): each for each in handlers}


OPERATIONS: dict[str, Handler] = _named(
    clusters.create_cluster,
    clusters.describe_cluster,
    clusters.list_clusters,
    clusters.delete_cluster,
    cluster_changes.update_cluster_config,
    cluster_changes.update_cluster_version,
    cluster_changes.associate_encryption_config,
    nodegroups.create_nodegroup,
    nodegroups.describe_nodegroup,
    nodegroups.list_nodegroups,
    nodegroups.delete_nodegroup,
    nodegroups.update_nodegroup_config,
    nodegroups.update_nodegroup_version,
    fargate.create_fargate_profile,
    fargate.describe_fargate_profile,
    fargate.list_fargate_profiles,
    fargate.delete_fargate_profile,
    addons.create_addon,
    addons.describe_addon,
    addons.list_addons,
    addons.update_addon,
    addons.delete_addon,
    access.create_access_entry,
    access.describe_access_entry,
    access.list_access_entries,
    access.update_access_entry,
    access.delete_access_entry,
    access.associate_access_policy,
    access.list_associated_access_policies,
    access.disassociate_access_policy,
    access.list_access_policies,
    identities.create_pod_identity_association,
    identities.describe_pod_identity_association,
    identities.list_pod_identity_associations,
    identities.update_pod_identity_association,
    identities.delete_pod_identity_association,
    updates.describe_update,
    updates.list_updates,
    versions.describe_cluster_versions,
    versions.describe_addon_versions,
    tags.list_tags_for_resource,
    tags.tag_resource,
    tags.untag_resource,
)
