"""Assertions for every test that adds, removes or replaces control planes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .lab_cluster import KUBECTL

if TYPE_CHECKING:
    from .lab_cluster import LabCluster

ENDPOINT = "192.168.77.1:6443"  # load balancer of the lab
LOCAL = "127.0.0.1:7443"  # the endpoint on every node with `endpoint: local`


def assert_endpoint_everywhere(
    cluster: LabCluster, endpoint: str, control_planes: Iterable[str], *, outside: Iterable[str] = ()
) -> None:
    """`outside`: servers that the kubeconfig beside the file may name instead of the endpoint."""
    config_maps = cluster.on("cp1", f"{KUBECTL} get cm -A -o yaml")
    assert f"controlPlaneEndpoint: {endpoint}" in config_maps
    assert set(re.findall(r"server: https://(\S+)", config_maps)) == {endpoint}
    for host in control_planes:
        assert f"server: https://{endpoint}" in cluster.on(host, "sudo cat /etc/kubernetes/admin.conf")
    kubeconfig = cluster.kubeconfig.read_text()
    assert any(server in kubeconfig for server in tuple(outside) or (endpoint,))


def assert_no_join_credentials(cluster: LabCluster) -> None:
    names = cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert "kubeadm-certs" not in names
    assert "bootstrap-token" not in names
