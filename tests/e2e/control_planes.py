"""What has to hold wherever control planes come and go behind the lab's balancer; each function asserts one of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from provision.lab import machines

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


def etcd_was_saved(rig: Rig, times: int) -> None:
    """On cp1, where only root can read it."""
    look = """sudo sh -c 'stat -c "%a %U %n" /var/lib/provision/etcd /var/lib/provision/etcd/*'"""
    listed = rig.on("cp1", look)
    assert "700 root /var/lib/provision/etcd" in listed
    assert len(re.findall(r"^600 root .*/snapshot-\S+\.db$", listed, re.MULTILINE)) == times


def one_leaves_without_its_machine(rig: Rig, name: str, staying: Iterable[str]) -> None:
    machines.power_off(rig.name, name)

    refused = rig.provision("node", "remove", name, "--yes")
    done = rig.provision("node", "remove", name, "--force", "--yes")

    assert refused.returncode == 5
    assert "add --force" in refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.etcd() == dict.fromkeys(staying, True)
    assert name not in rig.kubectl("get", "nodes")
    assert f"name: {name}" not in rig.file.read_text()


def of_two_none_leaves_while_it_is_lost(rig: Rig, name: str) -> None:
    """The machine of that name stays without power."""
    machines.power_off(rig.name, name)

    done = rig.provision("node", "remove", name, "--force", "--yes")

    assert done.returncode == 5
    assert "its etcd reaches no majority" in done.stderr
