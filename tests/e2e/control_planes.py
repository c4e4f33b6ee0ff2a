"""What has to hold wherever control planes come and go behind the lab's balancer; each function asserts one of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .rig import KUBECTL

if TYPE_CHECKING:
    from .rig import Rig

ENDPOINT = "192.168.77.1:6443"


def everything_names_the_endpoint(rig: Rig, control_planes: Iterable[str]) -> None:
    said = rig.on("cp1", f"{KUBECTL} get cm -A -o yaml")
    assert f"controlPlaneEndpoint: {ENDPOINT}" in said
    assert set(re.findall(r"server: https://(\S+)", said)) == {ENDPOINT}
    for host in control_planes:
        assert f"server: https://{ENDPOINT}" in rig.on(host, "sudo cat /etc/kubernetes/admin.conf")
    assert ENDPOINT in rig.kubeconfig.read_text()


def no_credentials_of_joins_are_left(rig: Rig) -> None:
    names = rig.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert "kubeadm-certs" not in names
    assert "bootstrap-token" not in names
