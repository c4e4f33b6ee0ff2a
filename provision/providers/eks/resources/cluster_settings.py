"""Settings of the control plane: what CreateCluster is called with, and what differs in an existing one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks.steps.planning import in_transition

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import ClusterFacts


def creation(cluster: EksCluster) -> dict[str, object]:
    """The arguments of CreateCluster, but for ids that are not known yet."""
    spec: dict[str, object] = {
        "version": cluster.kubernetes,
        "accessConfig": {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": cluster.access.creator_admin,
        },
        "bootstrapSelfManagedAddons": False,
        "resourcesVpcConfig": _endpoint(cluster),
    }
    if cluster.logs:
        spec["logging"] = _logging(cluster.logs, ())
    if cluster.service_cidr:
        spec["kubernetesNetworkConfig"] = {"serviceIpv4Cidr": cluster.service_cidr}
    if cluster.encryption_key:
        spec["encryptionConfig"] = _encryption(cluster.encryption_key)
    return spec


def settings(cluster: EksCluster, found: ClusterFacts) -> dict[str, tuple[str, object]]:
    """What differs and can be changed: kind of the change to its reason and the API's arguments for it."""
    changes = dict[str, tuple[str, object]]()
    off = tuple(kind for kind in found.logs if kind not in cluster.logs)
    on = tuple(kind for kind in cluster.logs if kind not in found.logs)
    if off or on:
        words = [f"{', '.join(on)} on"] if on else []
        words += [f"{', '.join(off)} off"] if off else []
        changes["logging"] = (f"logs: {'; '.join(words)}", _logging(on, off))
    seen = (found.public, found.private)
    wanted = (cluster.endpoint.public, cluster.endpoint.private)
    if seen != wanted:
        changes["endpoint"] = (f"endpoint is {_reach(*seen)}, not {_reach(*wanted)}", _endpoint(cluster))
    elif cluster.endpoint.public and set(found.public_cidrs) != set(cluster.endpoint.public_cidrs):
        shown = ", ".join(found.public_cidrs)
        asked = ", ".join(cluster.endpoint.public_cidrs)
        changes["endpoint"] = (f"endpoint admits {shown}, not {asked}", _endpoint(cluster))
    if cluster.encryption_key and found.encryption_key is None:
        changes["encryption"] = (
            f"Secrets are not encrypted with {cluster.encryption_key}",
            _encryption(cluster.encryption_key),
        )
    status = in_transition(found.status)
    if status:
        changes["wait"] = (status, {})
    return changes


def _reach(public: bool, private: bool) -> str:  # noqa: FBT001  (two facts, not switches)
    return {(True, True): "public and private", (True, False): "public", (False, True): "private"}.get(
        (public, private), "closed"
    )


def _endpoint(cluster: EksCluster) -> dict[str, object]:
    access = cluster.endpoint
    config: dict[str, object] = {
        "endpointPublicAccess": access.public,
        "endpointPrivateAccess": access.private,
    }
    if access.public:
        config["publicAccessCidrs"] = list(access.public_cidrs)
    return config


def _logging(on: tuple[str, ...], off: tuple[str, ...]) -> dict[str, object]:
    parts = [
        {"types": sorted(types), "enabled": value} for types, value in ((on, True), (off, False)) if types
    ]
    return {"clusterLogging": parts}


def _encryption(key: str) -> list[dict[str, object]]:
    return [{"resources": ["secrets"], "provider": {"keyArn": key}}]
