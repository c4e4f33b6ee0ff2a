"""What has to hold wherever control planes come and go; each function asserts one of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .rig import KUBECTL

if TYPE_CHECKING:
    from .rig import Rig

ENDPOINT = "192.168.77.1:6443"  # the lab's own balancer
LOCAL = "127.0.0.1:7443"  # what `endpoint: local` is on every node


def is_named_everywhere(
    rig: Rig, endpoint: str, control_planes: Iterable[str], *, outside: Iterable[str] = ()
) -> None:
    """`outside`: where the kubeconfig beside the file may find the API server, if not at the endpoint."""
    said = rig.on("cp1", f"{KUBECTL} get cm -A -o yaml")
    assert f"controlPlaneEndpoint: {endpoint}" in said
    assert set(re.findall(r"server: https://(\S+)", said)) == {endpoint}
    for host in control_planes:
        assert f"server: https://{endpoint}" in rig.on(host, "sudo cat /etc/kubernetes/admin.conf")
    kubeconfig = rig.kubeconfig.read_text()
    assert any(place in kubeconfig for place in tuple(outside) or (endpoint,))


def no_credentials_of_joins_are_left(rig: Rig) -> None:
    names = rig.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert "kubeadm-certs" not in names
    assert "bootstrap-token" not in names
