"""State of hosts after host_prepare and containerd, read over plain ssh."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml
from host_state import ask, states

HOSTS = ("cp1", "w1")
LAB = yaml.safe_load(
    Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "cluster.yaml").read_text(encoding="utf-8")
)
WANTED = LAB["runtime_version"]
on_every_host = pytest.mark.parametrize("host", HOSTS)


def test_the_second_converge_changes_nothing() -> None:
    # First, because later tests restart services.
    kept = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "host-state.json")

    assert states(HOSTS) == json.loads(kept.read_text(encoding="utf-8"))


@on_every_host
def test_swap_is_off_and_stays_off(host: str) -> None:
    assert len(ask(host, "cat /proc/swaps").splitlines()) == 1
    # As at boot: generators run, and all swap that they and fstab name is switched on.
    ask(host, "systemctl daemon-reload && systemctl restart swap.target && swapon --all")
    assert len(ask(host, "cat /proc/swaps").splitlines()) == 1


@on_every_host
@pytest.mark.parametrize("module", ["overlay", "br_netfilter", "nf_conntrack"])
def test_a_kernel_module_is_loaded_now_and_at_boot(host: str, module: str) -> None:
    ask(host, f"test -d /sys/module/{module}")
    assert (
        module in ask(host, "/usr/lib/systemd/systemd-modules-load; cat /etc/modules-load.d/*.conf").split()
    )


@on_every_host
@pytest.mark.parametrize(
    "name",
    ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"],
)
def test_a_sysctl_keeps_its_value_after_all_sysctl_files_are_applied(host: str, name: str) -> None:
    ask(host, "sysctl --system && systemctl restart systemd-sysctl")

    assert ask(host, f"sysctl --values {name}").strip() == "1"


@on_every_host
def test_hosts_resolve_each_other_by_name(host: str) -> None:
    assert ask(host, "hostname").strip() == host
    for other, address in (("cp1", "192.168.77.11"), ("w1", "192.168.77.21")):
        assert address in ask(host, f"getent ahostsv4 {other}")


@on_every_host
def test_containerd_runs_with_the_configuration_of_the_role(host: str) -> None:
    config = ask(host, "containerd config dump")

    assert ask(host, "systemctl is-active containerd; systemctl is-enabled containerd").split() == [
        "active",
        "enabled",
    ]
    assert "SystemdCgroup = true" in config
    assert "sandbox = 'registry.k8s.io/pause:3.10.2'" in config


@on_every_host
def test_containerd_is_the_version_of_the_cluster_file_and_held(host: str) -> None:
    status, version = ask(host, "dpkg-query -W -f '${db:Status-Abbrev} ${Version}' containerd.io").split()

    assert status == "hi"
    assert version.startswith(f"{WANTED}-")


@on_every_host
def test_an_image_is_pulled_through_the_mirror_and_runs(host: str) -> None:
    image = "registry.k8s.io/pause:3.10.2"
    ask(host, f"ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {image}")

    ask(host, f"ctr -n k8s.io run --detach {image} verify")

    assert "RUNNING" in ask(host, "ctr -n k8s.io task list")
    ask(host, "ctr -n k8s.io task delete --force verify && ctr -n k8s.io container delete verify")


@on_every_host
def test_the_previous_state_is_recorded(host: str) -> None:
    record = json.loads(ask(host, "cat /var/lib/provision/before/host_prepare.json"))

    assert record["swaps"] == {"/swapfile": True}
    assert record["sysctls"]["net.ipv4.ip_forward"] == "0"
