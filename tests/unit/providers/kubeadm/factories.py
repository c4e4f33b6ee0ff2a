"""Hosts as a probe would describe them, for tests: fresh, prepared, or nodes of a cluster."""

from __future__ import annotations

import copy
from typing import Any

from provision.model.cluster import Cluster, Host
from provision.providers.kubeadm.facts.host import HostFacts, Observation, combine, from_json
from provision.providers.kubeadm.host_programs import MODULES, NFTABLES_MODULES, SYSCTLS
from provision.providers.kubeadm.steps.role_vars import balancer, endpoint

NOW = 1_800_000_000.0
# Certificates of two authorities, made for these tests by `openssl req -x509 -newkey ec ...`.
CA = """-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUZJ3gMOAh6Wve9ENC+C7Ecg+QPbIwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMjExMTA3NTlaFw0zNjExMTgx
MTA3NTlaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ/o+dHIILPZj92m17Dm50m8syuLqoyniiUhkn+HmEKhU5Hb0GJFtAu
U49wCx6KPys7xXEYub9XCexVVqCmfHl+o1MwUTAdBgNVHQ4EFgQUszmag+XfHykn
QqYSkwuTTClp5YIwHwYDVR0jBBgwFoAUszmag+XfHyknQqYSkwuTTClp5YIwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAq6cu/dKohwJWAcUY0P8c
Z6eK8iA+duPnpUyFB1NX/EICIQDIXG08QyuVj2gK8BGCZeIyyXiDFi14jBJ7GplI
gsdpfA==
-----END CERTIFICATE-----
"""
OTHER_CA = """-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUc6PsET3U4b5gcAJaBr8JtdTdJbAwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMjExMTA3NTlaFw0zNjExMTgx
MTA3NTlaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATxlHkPXc3ePkxJ2Dlwxtheng0C/DqfU/I4TL5XvmrfmVyeBE6h6gGk
RYyQel06U4zZwPLy28oLp+cp7CmgqQ15o1MwUTAdBgNVHQ4EFgQUbQ+vhRwEY5Nm
zLX/lmQuTg6Jz/UwHwYDVR0jBBgwFoAUbQ+vhRwEY5NmzLX/lmQuTg6Jz/UwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAmndROruxqUtbHcIK5kGM
6mOJrXh38/E6uSqJFj4iAZkCIAxWXjbCiO0kRyp6PfMJPRFxGsdRTN+fvPry2yAK
zvJK
-----END CERTIFICATE-----
"""
Document = dict[str, Any]


def cluster(*roles: str, **changes: Any) -> Cluster:
    """A file with hosts cp1, cp2, w1 ... in the order of `roles` ("cp", "w")."""
    hosts: list[Host] = []
    for role in roles:
        number = sum(host.name.startswith(role) for host in hosts) + 1
        address = f"10.0.0.{(10 if role == 'cp' else 20) + number}"
        full = "control-plane" if role == "cp" else "worker"
        hosts.append(Host.model_validate({"name": f"{role}{number}", "address": address, "role": full}))
    return Cluster.model_validate({"name": "demo", "kubernetes": "1.36.3", "hosts": tuple(hosts), **changes})


def fresh(host: Host) -> Document:
    """A cloud image of Debian 13 with an active swap file, as it was booted."""
    number = int(host.address.rpartition(".")[2])
    disk = {"free_mib": 18000, "size_mib": 20000, "device": 1, "noexec": False, "read_only": False}
    paths = ("/", "/opt/cni/bin", "/tmp", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet")  # noqa: S108
    return {
        "time": NOW,
        "machine": {
            "os": {
                "id": "debian",
                "version": "13",
                "codename": "trixie",
                "name": "Debian GNU/Linux 13 (trixie)",
            },
            "architecture": "x86_64",
            "kernel": "6.12.0",
            "python": "3.13.5",
            "systemd": True,
            "cpus": 2,
            "memory_mib": 3900,
            "disks": {path: dict(disk) for path in paths},
            "swap": {"active": ["/swapfile"], "sources": [{"path": "/swapfile", "origin": "/etc/fstab"}]},
            "hostname": host.name,
            "machine_id": f"{number:032x}",
            "product_uuid": f"0000-{number}",
            "boot_id": f"boot-{number}",
            "hosts": [{"address": "127.0.0.1", "names": ["localhost"]}],
            "login": "ubuntu",
        },
        "kernel": {
            "modules": {name: {"loaded": False, "at_boot": False} for name in (*MODULES, *NFTABLES_MODULES)},
            "sysctls": {name: {"now": "", "at_boot": "", "file": ""} for name in SYSCTLS},
            "cgroup": 2,
        },
        "network": {
            "addresses": [{"cidr": f"{host.address}/24", "interface": "eth0"}],
            "routes": [
                {"cidr": "0.0.0.0/0", "interface": "eth0", "gateway": "10.0.0.1"},
                {"cidr": "10.0.0.0/24", "interface": "eth0", "gateway": ""},
            ],
            "macs": [f"52:54:00:00:00:{number:02x}"],
            "ports": [],
        },
        "software": {
            "packages": {},
            "package_database": {"broken": [], "locked_by": ""},
            "services": {name: {"active": False, "enabled": False} for name in ("containerd", "kubelet")},
            "containerd": fresh_runtime(),
            "cni": [],
        },
        "kubernetes": {
            "ca": "",
            "kubelet_server": "",
            "joined": False,
            "admin": False,
            "manifests": {},
            "markers": [],
            "etcd_data": False,
            "certificates": {},
        },
        "api": None,
        "problems": {},
    }


def prepared(host: Host) -> Document:
    """After prepare-hosts, install-containerd and install-kubernetes."""
    kernel = {
        "modules": {name: {"loaded": True, "at_boot": True} for name in MODULES},
        "sysctls": {
            name: {"now": "1", "at_boot": "1", "file": "/etc/sysctl.d/99-zz-provision.conf"}
            for name in SYSCTLS
        },
    }
    package = {"held": True, "whole": True}
    software = {
        "packages": {
            "containerd.io": {"version": "2.3.7-1~debian.13~trixie", **package},
            **{name: {"version": "1.36.3-1.1", **package} for name in ("kubeadm", "kubelet", "kubectl")},
        },
        "services": {"containerd": {"active": True, "enabled": True}},
        "containerd": {
            "configured": True,
            "systemd_cgroup": True,
            "sandbox_image": "registry.k8s.io/pause:3.10.2",
        },
    }
    machine = {
        "swap": {"active": [], "sources": []},
        "hosts": [{"address": host.address, "names": [host.name]}],
    }
    return merged(fresh(host), {"kernel": kernel, "software": software, "machine": machine})


def with_crio(document: Document) -> Document:
    """A prepared host or a node that has CRI-O in the place of containerd."""
    found = copy.deepcopy(document)
    software = found["software"]
    del software["packages"]["containerd.io"]
    for name, version in (("cri-o", "1.36.3-1.1"), ("cri-tools", "1.36.0-1.1")):
        software["packages"][name] = {"version": version, "held": True, "whole": True}
    software["services"] |= {"containerd": {"active": False, "enabled": False}}
    software["services"] |= {"crio": {"active": True, "enabled": True}}
    software["crio"], software["containerd"] = software["containerd"], fresh_runtime()
    if found["kubernetes"]["joined"]:
        found["kubernetes"]["runtime_endpoint"] = "unix:///run/crio/crio.sock"
    return found


def with_docker(document: Document) -> Document:
    """A prepared host or a node that has Docker in the place of plain containerd."""
    found = copy.deepcopy(document)
    software = found["software"]
    package = {"version": "5:29.7.2-1~debian.13~trixie", "held": True, "whole": True}
    software["packages"] |= {"docker-ce": dict(package), "docker-ce-cli": dict(package)}
    software["services"] |= {name: {"active": True, "enabled": True} for name in ("docker", "cri-docker")}
    software["docker"] = {
        **software["containerd"],
        "version": "0.3.24",
        "bounded_logs": True,
        "insecure": [],
    }
    software["containerd"] = fresh_runtime()
    if found["kubernetes"]["joined"]:
        found["kubernetes"]["runtime_endpoint"] = "unix:///run/cri-dockerd.sock"
    return found


def package(version: str, *, held: bool = True) -> Document:
    """An installed package."""
    return {"version": version, "held": held, "whole": True}


def with_firewall(document: Document, **changes: Any) -> Document:
    """A host with a plain nftables ruleset that drops by default; provision is run at 10.9.0.1."""
    chain = {"name": "inet filter input", "hook": "input", "opened": False}
    found = {"chains": [chain], "programs": ["nft"], "client": "10.9.0.1", "noted": None, "lost": []}
    return merged(document, {"firewall": {**found, **changes}})


def fresh_runtime() -> Document:
    """The settings of a runtime that is not configured."""
    return {
        "configured": False,
        "systemd_cgroup": False,
        "sandbox_image": "",
        "cri_disabled": False,
        "hosts": {},
    }


def member(host: Host) -> Document:
    """A node that has joined."""
    manifests = (
        {"kube-apiserver": "registry.k8s.io/kube-apiserver:v1.36.3"} if host.role == "control-plane" else {}
    )
    kubernetes = {
        "ca": CA,
        "kubelet_server": "https://10.0.0.11:6443",
        "joined": True,
        "admin": host.role == "control-plane",
        "manifests": manifests,
        "etcd_data": host.role == "control-plane",
        "certificates": {"ca": "361121101530Z", "kubelet": "280121101530Z"},
        "runtime_endpoint": "unix:///run/containerd/containerd.sock",
    }
    software = {"services": {"kubelet": {"active": True, "enabled": True}}, "cni": ["10-calico.conflist"]}
    return merged(prepared(host), {"kubernetes": kubernetes, "software": software})


def api(*hosts: Host, network: bool = True) -> Document:
    """What the API server of a healthy cluster of these hosts says."""
    whole = {"wanted": len(hosts), "ready": len(hosts)}
    answer = {
        "version": "v1.36.3",
        "nodes": [node(host) for host in hosts],
        "configuration": "clusterName: demo\nkubernetesVersion: v1.36.3\n"
        "networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}\n",
        "proxy_mode": "iptables",
        "daemonsets": {"kube-proxy": {"images": ["registry.k8s.io/kube-proxy:v1.36.3"], **whole}},
        "deployments": {
            "coredns": {"images": ["registry.k8s.io/coredns/coredns:v1.14.2"], "wanted": 2, "ready": 2}
        },
        "pools": [],
        "tokens": [],
    }
    if not network:
        return answer
    calico = {
        "note": {"calico": "v3.32.1", "pod_cidr": "10.244.0.0/16", "encapsulation": "vxlan"},
        "daemonsets": {"calico-node": {"images": ["quay.io/calico/node:v3.32.1"], **whole}},
        "deployments": {
            "calico-kube-controllers": {
                "images": ["quay.io/calico/kube-controllers:v3.32.1"],
                "wanted": 1,
                "ready": 1,
            }
        },
        "pools": [{"cidr": "10.244.0.0/16", "ipipMode": "Never", "vxlanMode": "Always"}],
    }
    return merged(answer, calico)


def node(host: Host, **changes: Any) -> Document:
    role = {"node-role.kubernetes.io/control-plane": ""} if host.role == "control-plane" else {}
    return {
        "name": host.name,
        "labels": {"kubernetes.io/hostname": host.name, **role, **host.labels},
        "taints": [],
        "cordoned": False,
        "ready": True,
        "message": "kubelet is posting ready status",
        "kubelet": "v1.36.3",
        "runtime": "containerd://2.3.7",
        "machine_id": f"{int(host.address.rpartition('.')[2]):032x}",
        "addresses": [host.address],
        **changes,
    }


def merged(document: Document, changes: Document) -> Document:
    """A copy with `changes` laid over it; mappings are merged, everything else is replaced."""
    result = copy.deepcopy(document)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def facts(name: str, document: Document) -> HostFacts:
    return from_json(name, document, began=NOW, ended=NOW)


def observation(documents: dict[str, Document]) -> Observation:
    """What would have been observed; the API's answer is that of the first control plane that has one."""
    return combine({name: facts(name, document) for name, document in documents.items()}, at=NOW)


def running(of: Cluster, *, network: bool = True) -> dict[str, Document]:
    """Documents of a cluster in which every host of the file is a node."""
    documents = {host.name: member(host) for host in of.hosts}
    if of.endpoint:
        for document in documents.values():
            document["kubernetes"]["kubelet_server"] = f"https://{endpoint(of)}"
    for host in of.hosts:
        kind = balancer(of, host)
        if kind:
            software = documents[host.name]["software"]
            servers = [f"{one.address}:6443" for one in of.control_planes]
            software["balancers"] = {kind: {"listens": endpoint(of), "servers": servers}}
            for unit in ("provision-api",) if kind == "local" else ("provision-vip-api", "provision-vip"):
                software["services"][unit] = {"active": True, "enabled": True}
    for host in of.control_planes:
        documents[host.name]["api"] = api(*of.hosts, network=network)
        if of.endpoint:
            documents[host.name]["api"]["configuration"] += f"controlPlaneEndpoint: '{endpoint(of)}'\n"
        documents[host.name]["etcd"] = etcd(host, of.control_planes)
    return documents


def etcd(host: Host, members: tuple[Host, ...], **changes: Any) -> Document:
    """What the etcd of `host` says in a healthy cluster of these members; the first of them leads."""
    return {
        "id": f"id-{host.name}",
        "leader": f"id-{members[0].name}",
        "version": "3.6.8",
        "size": 5_000_000,
        "healthy": True,
        "reason": "",
        "members": [etcd_member(one) for one in members],
        **changes,
    }


def etcd_member(host: Host, **changes: Any) -> Document:
    return {"id": f"id-{host.name}", "name": host.name, "peers": [host.address], "learner": False, **changes}
