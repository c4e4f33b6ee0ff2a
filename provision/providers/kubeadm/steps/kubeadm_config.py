"""kubeadm's own configuration (kubeadm.k8s.io/v1beta4) for init and join, as plain data without any secret.

Fields: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.model.units import is_ip
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.runtimes.docker import kubelet_arguments
from provision.providers.kubeadm.steps import role_vars

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Dataplane, Host

_API = "kubeadm.k8s.io/v1beta4"
_CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
# Images of pods that are pulled at the same time by one kubelet; its default is one after the other.
_PARALLEL_PULLS = 4
# kubeadm gives up a call after 1 min (etcd: 2 min); a small machine that starts a control plane may need longer, and
# an init that was given up has to be undone. Met on a lab machine at load 10.
_TIMEOUTS = {"kubernetesAPICall": "4m0s", "etcdAPICall": "4m0s"}


def init_documents(cluster: Cluster, host: Host, dataplane: Dataplane = "iptables") -> list[dict[str, Any]]:
    """The configuration of `kubeadm init` on the first control plane."""
    return [
        {
            "apiVersion": _API,
            "kind": "InitConfiguration",
            "nodeRegistration": _registration(cluster, host),
            **_local_endpoint(host),
            "timeouts": dict(_TIMEOUTS),
            # Its output has a token in it, and is not read.
            "skipPhases": ["show-join-command"],
        },
        _cluster_configuration(cluster),
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            "serializeImagePulls": False,
            "maxParallelImagePulls": _PARALLEL_PULLS,
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": dataplane,
        },
    ]


def join_document(cluster: Cluster, host: Host) -> dict[str, Any]:
    """The configuration of `kubeadm join`; the role adds discovery and certificate key, which are secret."""
    document = {
        "apiVersion": _API,
        "kind": "JoinConfiguration",
        "nodeRegistration": _registration(cluster, host),
        "timeouts": dict(_TIMEOUTS),
    }
    if host.role == "control-plane":
        document["controlPlane"] = _local_endpoint(host) or {
            "localAPIEndpoint": {"bindPort": role_vars.API_PORT}
        }
    return document


def _cluster_configuration(cluster: Cluster) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": _API,
        "kind": "ClusterConfiguration",
        "clusterName": cluster.name,
        "kubernetesVersion": f"v{cluster.kubernetes}",
        "networking": {
            "podSubnet": cluster.network.pod_cidr,
            "serviceSubnet": cluster.network.service_cidr,
            "dnsDomain": "cluster.local",
        },
        "apiServer": {"certSANs": role_vars.certificate_names(cluster)},
    }
    endpoint = role_vars.configured_endpoint(cluster)
    return {**document, "controlPlaneEndpoint": endpoint} if endpoint else document


def corrected_configuration(cluster: Cluster, found: dict[str, Any]) -> dict[str, Any]:
    """The ClusterConfiguration as it was found, with the file's endpoint and names; all else stays."""
    endpoint = role_vars.configured_endpoint(cluster)
    names = {"certSANs": role_vars.certificate_names(cluster)}
    rest = {key: value for key, value in found.items() if key != "controlPlaneEndpoint"}
    api_server = {**(found.get("apiServer") or {}), **names}
    return {**rest, "apiServer": api_server, **({"controlPlaneEndpoint": endpoint} if endpoint else {})}


def _registration(cluster: Cluster, host: Host) -> dict[str, Any]:
    registration: dict[str, Any] = {
        "name": host.name,
        "criSocket": RUNTIMES[cluster.runtime_of(host)].socket,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": False,
        "ignorePreflightErrors": list(cluster.kubeadm.ignore_preflight_errors),
    }
    # With several networks the kubelet would take the one of the default route.
    arguments = [{"name": "node-ip", "value": host.address}] if is_ip(host.address) else []
    arguments += kubelet_arguments(cluster) if cluster.runtime_of(host) == "docker" else []
    if arguments:
        registration["kubeletExtraArgs"] = arguments
    if host.taints:
        own = [_taint(text) for text in host.taints]
        registration["taints"] = [_CONTROL_PLANE_TAINT, *own] if host.role == "control-plane" else own
    return registration


def _taint(text: str) -> dict[str, str]:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect}


def _local_endpoint(host: Host) -> dict[str, Any]:
    if not is_ip(host.address):
        return {}  # kubeadm takes the address of the default route
    return {"localAPIEndpoint": {"advertiseAddress": host.address, "bindPort": role_vars.API_PORT}}
