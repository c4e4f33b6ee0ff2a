"""The probe on file trees like hosts', and on this machine under every Python that it has."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision.errors import ProvisionError
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts.host import from_json
from tests.unit.modules.conftest import library

from . import factories

certificates = library("provision_certificates")
kernel = library("provision_kernel")
kubernetes = library("provision_kubernetes")
network = library("provision_network")
rpm = library("provision_rpm")
software = library("provision_software")
swap = library("provision_swap")
PARTS = sorted({*host_programs._PROBE, *host_programs._AGENT})
_CANDIDATES = (sys.executable, "/usr/bin/python3", *(f"python3.{minor}" for minor in range(9, 15)))


def pythons() -> list[str]:
    """Interpreters of this machine that the probe has to run with."""
    found = []
    for candidate in _CANDIDATES:
        path = shutil.which(candidate)
        works = path and subprocess.run(
            [path, "-c", "import sys; sys.exit(sys.version_info < (3, 9))"], check=False
        )
        if path and works and works.returncode == 0:
            found.append(path)
    return found


@pytest.mark.parametrize("python", pythons())
def test_the_program_gives_whole_facts_under_every_python(python: str) -> None:
    unread = b"the password that sudo did not ask for\n"
    argv = [python, *host_programs.probe_arguments()]
    done = subprocess.run(argv, input=unread + host_programs.probe_source(), capture_output=True, check=True)
    facts = from_json(
        "here", host_programs.probe_document(f"Welcome!\n{done.stdout.decode()}Bye\n"), began=0, ended=0
    )
    assert facts.machine.memory_mib > 0
    assert facts.kernel.modules.keys() == {*host_programs.MODULES, *host_programs.NFTABLES_MODULES}


@pytest.mark.parametrize("part", PARTS)
def test_the_probe_has_no_syntax_that_python_3_9_lacks(part: str) -> None:
    ast.parse(host_programs._path(part).read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("part", PARTS)
def test_what_is_packed_is_the_module_without_docstrings_and_imports_for_type_checks(part: str) -> None:
    source = host_programs._path(part).read_text(encoding="utf-8")

    packed = host_programs.stripped(source)

    assert ast.dump(bare(packed)) == ast.dump(bare(source))
    assert packed.count("\n") == source.count("\n")
    assert '"""' not in packed
    assert "TYPE_CHECKING" not in packed


def bare(source: str) -> ast.Module:
    """The syntax tree without docstrings and blocks `if TYPE_CHECKING`."""
    module = ast.parse(source)
    module.body = [part for part in module.body if "TYPE_CHECKING" not in ast.dump(part)]
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            del node.body[0]
    return module


@pytest.mark.parametrize("parts", [host_programs._PROBE, host_programs._AGENT])
def test_a_program_has_all_parts_that_it_imports_and_no_other(parts: tuple[str, ...]) -> None:
    sources = [
        host_programs.stripped(host_programs._path(part).read_text(encoding="utf-8")) for part in parts
    ]

    needed = re.findall(r"(?:ansible\.module_utils\.| import |, )provision_(\w+)", "\n".join(sources))

    assert {*needed, parts[-1]} == set(parts)


def test_what_sudo_logs_of_the_probe_is_short_and_its_source_is_one_line() -> None:
    assert len(" ".join(host_programs.probe_arguments())) < 600
    assert b"\n" not in host_programs.probe_source()


def test_output_without_a_whole_document_is_refused() -> None:
    with pytest.raises(ProvisionError, match="no document"):
        host_programs.probe_document("bash: python3: command not found")
    with pytest.raises(ProvisionError, match="no document"):
        host_programs.probe_document(f"{host_programs.BEGIN}\n{{}}")


def test_a_part_that_fails_is_named_and_does_not_hide_the_others() -> None:
    document = {**factories.fresh(factories.cluster("cp").hosts[0]), "problems": {"network": "ValueError: x"}}
    with pytest.raises(ProvisionError, match="w1: looking at its network failed: ValueError: x"):
        from_json("w1", document, began=0, ended=0)


def test_facts_ignore_what_they_do_not_know_and_demand_what_they_need() -> None:
    document = factories.fresh(factories.cluster("cp").hosts[0])
    assert from_json("cp1", {**document, "weather": "fine"}, began=0, ended=0).name == "cp1"
    del document["kernel"]
    with pytest.raises(ProvisionError, match="kernel"):
        from_json("cp1", document, began=0, ended=0)


def test_skew_is_taken_at_the_middle_of_the_round_trip() -> None:
    document = {**factories.fresh(factories.cluster("cp").hosts[0]), "time": 105.0}
    assert from_json("cp1", document, began=100, ended=102).skew == 4.0


def tree(root: Path, files: dict[str, str]) -> str:
    """Files below a root; the answer is what the probe takes for its root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(root)


@pytest.mark.parametrize(
    ("files", "sources"),
    [
        ({"etc/fstab": "/swapfile none swap sw 0 0\n"}, [("/swapfile", "/etc/fstab")]),
        ({"etc/fstab": "# /swapfile none swap sw 0 0\n"}, []),
        ({"etc/systemd/system/dev-sdb.swap": "[Swap]\nWhat=/dev/sdb\n"}, [("/dev/sdb", "dev-sdb.swap")]),
        ({"run/systemd/generator/swapfile.swap": "[Unit]\nSourcePath=/etc/fstab\n"}, []),
        ({"lib/systemd/system/zramswap.service": ""}, [("", "zramswap.service")]),
    ],
)
def test_swap_that_comes_at_boot_is_found_with_its_source(
    tmp_path: Path, files: dict[str, str], sources: list[tuple[str, str]]
) -> None:
    found = swap.swap_sources(tree(tmp_path, files))
    assert [(source["path"], source["origin"]) for source in found] == sources


def test_zram_generator_counts_only_with_a_device_in_its_configuration(tmp_path: Path) -> None:
    generator = "usr/lib/systemd/system-generators/zram-generator"
    root = tree(tmp_path, {generator: "", "etc/systemd/zram-generator.conf": "[zram0]\n"})
    assert swap.swap_sources(root) == [{"path": "/dev/zram0", "origin": "zram-generator"}]
    tree(tmp_path, {"etc/systemd/zram-generator.conf": "# Empty on purpose\n"})
    assert swap.swap_sources(root) == []


def test_a_masked_swap_unit_stays_off(tmp_path: Path) -> None:
    root = tree(tmp_path, {"usr/lib/systemd/system/dev-sdb.swap": "[Swap]\nWhat=/dev/sdb\n"})
    unit = tmp_path / "etc/systemd/system/dev-sdb.swap"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert swap.swap_sources(root) == []


def test_the_sysctl_file_that_is_read_last_wins(tmp_path: Path) -> None:
    name = "net.ipv4.ip_forward"
    files = {
        "proc/sys/net/ipv4/ip_forward": "1\n",
        "usr/lib/sysctl.d/50-a.conf": "net.ipv4.ip_forward = 0\n",
        "etc/sysctl.d/50-a.conf": "",  # hides the vendor's file
        "etc/sysctl.d/99-zz-provision.conf": "net/ipv4/ip_forward = 1\n",
    }
    found: Any = kernel.kernel(tree(tmp_path, files), [], [name])["sysctls"]
    assert found[name] == {"now": "1", "at_boot": "1", "file": "/etc/sysctl.d/99-zz-provision.conf"}
    found = kernel.kernel(tree(tmp_path, {"etc/sysctl.conf": "net.ipv4.ip_forward=0"}), [], [name])["sysctls"]
    assert found[name]["at_boot"] == "0"


def test_modules_count_loaded_and_at_boot_apart(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"sys/module/overlay/refcnt": "1", "etc/modules-load.d/k8s.conf": "#x\nbr_netfilter\n"}
    )
    found: Any = kernel.kernel(root, ["overlay", "br-netfilter"], [])["modules"]
    assert found == {
        "overlay": {"loaded": True, "at_boot": False},
        "br-netfilter": {"loaded": False, "at_boot": True},
    }


ROUTES = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0
"""
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 192.168.0.5
        /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
Local:
     |-- 192.168.0.5
        /32 host LOCAL
"""


def test_addresses_and_routes_are_read_from_proc(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/net/route": ROUTES, "proc/net/fib_trie": TRIE})
    found = network.network(root, [])
    assert found["addresses"] == [{"cidr": "192.168.0.5/24", "interface": "eth0"}]
    assert found["routes"] == [
        {"cidr": "0.0.0.0/0", "interface": "eth0", "gateway": "192.168.0.1"},
        {"cidr": "192.168.0.0/24", "interface": "eth0", "gateway": ""},
    ]


def test_a_listener_is_found_with_its_process() -> None:
    import socket  # noqa: PLC0415 - only here

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found: Any = network.network("", [port, port + 1])["ports"]
    assert [listener["port"] for listener in found] == [port]
    assert found[0]["pid"] > 0


DPKG = """Package: kubelet
Status: hold ok installed
Version: 1.36.3-1.1
Description: Node agent
 Package: not a field

Package: kubelet-extras
Status: install ok installed
Version: 9

Package: containerd
Status: deinstall ok config-files
Version: 1.6

Package: vim
Status: install ok half-configured
Version: 2

"""


def test_packages_are_read_from_dpkgs_own_file(tmp_path: Path) -> None:
    found = software.software(tree(tmp_path, {"var/lib/dpkg/status": DPKG}))
    assert found["packages"] == {"kubelet": {"version": "1.36.3-1.1", "held": True, "whole": True}}
    assert found["package_database"] == {"broken": ["vim"], "locked_by": ""}


def test_the_holder_of_dpkgs_lock_is_named_without_taking_it(tmp_path: Path) -> None:
    root = tree(tmp_path, {"var/lib/dpkg/lock": "", "var/lib/dpkg/lock-frontend": ""})
    program = f"import fcntl,sys\nf=open({str(tmp_path)!r}+'/var/lib/dpkg/lock','rb+')\nfcntl.lockf(f,fcntl.LOCK_EX)\n"
    program += "print('held',flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found: Any = software.software(root)["package_database"]
        holder.communicate(b"")
    assert f"(pid {holder.pid})" in found["locked_by"]
    with (tmp_path / "var/lib/dpkg/lock").open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("release", "manager"),
    [
        ("ID=debian", "dpkg"),
        ("ID=kylin\nID_LIKE=debian", "dpkg"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', "rpm"),
        ('ID="ol"\nID_LIKE="fedora"', "rpm"),
        ("ID=fedora", "rpm"),
        ('ID="openEuler"', "rpm"),
    ],
)
def test_whose_packages_a_host_has_is_known_by_its_distribution(
    tmp_path: Path, release: str, manager: str
) -> None:
    assert library("provision_files").uses_rpm(tree(tmp_path, {"etc/os-release": release})) is (
        manager == "rpm"
    )


ROCKY = 'ID="rocky"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\n'
REPOSITORY = "[{}]\nbaseurl=https://example.org/\nenabled={}\n"


def test_modules_that_no_file_of_the_running_kernel_has_are_lacking(tmp_path: Path) -> None:
    directory = f"lib/modules/{os.uname().release}"
    known = "kernel/drivers/block/loop0.ko.xz:\nkernel/fs/over-lay0.ko.zst: kernel/fs/a.ko\n"
    root = tree(tmp_path, {"etc/os-release": ROCKY, f"{directory}/modules.dep": known})

    assert kernel.kernel(root, ["over_lay0", "br_netfilter0", "loop0"], [])["lacking"] == ["br_netfilter0"]
    tree(tmp_path, {"etc/os-release": "ID=debian\n"})
    assert kernel.kernel(root, ["br_netfilter0"], [])["lacking"] == []


def test_facts_of_the_rhel_family_are_read_from_its_files(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rpm, "query", lambda _root, _names: {})
    wants = "etc/systemd/system/timers.target.wants/nm-cloud-setup.timer"
    files = {
        "etc/os-release": ROCKY,
        "sys/fs/selinux/enforce": "1",
        wants: "",
        "etc/yum.repos.d/rocky.repo": REPOSITORY.format("baseos", 1) + REPOSITORY.format("crb", 0),
        "etc/yum.repos.d/provision-crio.repo": REPOSITORY.format("provision-crio", 1),
        "etc/yum.repos.d/docker.repo": "[docker]\nbaseurl=https://example.org/linux/rhel/9/x86_64/stable\n"
        "[held]\nbaseurl=https://example.org/linux/rhel/9/x86_64/stable\nexclude=containerd.io\n",
        "etc/yum.repos.d/epel.repo": "[epel]\n",
        "etc/NetworkManager/conf.d/99-zz-provision.conf": "# Written by provision.\n",
    }

    found: Any = software.software(tree(tmp_path, files))

    assert found["unmanaged"] is True
    assert found["rpm"] == {
        "kernels": [],
        "selinux": "enforcing",
        "has_modules": False,
        "cloud_setup": ["nm-cloud-setup.timer"],
        "repositories": ["docker", "held", "epel", "baseos"],
        "rivals": ["docker"],
        "registered": True,
    }
    tree(tmp_path, {"etc/os-release": ROCKY.replace("rocky", "rhel")})
    assert software.software(str(tmp_path))["rpm"]["registered"] is False
    tree(tmp_path, {"etc/pki/consumer/cert.pem": ""})
    assert software.software(str(tmp_path))["rpm"]["registered"] is True


def test_on_debian_no_program_is_started_for_rpm(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rpm, "query", lambda *_: pytest.fail("rpm was asked"))
    assert "rpm" not in software.software(tree(tmp_path, {"etc/os-release": "ID=debian\n"}))


def test_load_balancers_of_ours_say_where_they_listen_and_what_is_behind_them(tmp_path: Path) -> None:
    text = """frontend api
    bind 10.0.0.10:7443 transparent
backend servers
    default-server check
    server cp1 10.0.0.11:6443
    server cp2 [fd00::12]:6443
"""
    reload = "run/provision/reload-provision-vip.service"
    found = software.software(tree(tmp_path, {"etc/haproxy/provision-vip-api.cfg": text, reload: ""}))

    servers = ["10.0.0.11:6443", "[fd00::12]:6443"]
    assert found["reloads"] == ["provision-vip"]
    assert found["balancers"] == {"vip": {"listens": "10.0.0.10:7443", "servers": servers}}


def test_the_settings_of_containerd_are_read_and_secrets_stay_on_the_host(tmp_path: Path) -> None:
    config = "[a]\nconfig_path = ''\n[b]\nsandbox = 'p/pause:3'\nconfig_path = '/etc/containerd/certs.d'\n"
    hosts = '# Written by provision.\nserver = "http://m:5000/v2/quay.io"\n[header]\nauthorization = "Basic c2VjcmV0"\n'
    files = {
        "etc/containerd/config.toml": config + "SystemdCgroup = true\n",
        "etc/containerd/certs.d/quay.io/hosts.toml": hosts,
        "etc/containerd/certs.d/docker.io/hosts.toml": '[host."https://cache"]\n',
    }
    found: Any = software.software(tree(tmp_path, files))["containerd"]
    assert (found["sandbox_image"], found["systemd_cgroup"]) == ("p/pause:3", True)
    assert found["hosts"] == {
        "docker.io": {"urls": ["https://cache"], "ours": False},
        "quay.io": {"urls": ["http://m:5000/v2/quay.io"], "ours": True},
    }
    assert "c2VjcmV0" not in json.dumps(found)


def test_the_settings_of_crio_are_read_from_all_its_files(tmp_path: Path) -> None:
    files = {
        "etc/crio/crio.conf": '[crio.runtime]\ncgroup_manager = "cgroupfs"\n# pause_image = "commented:1"\n',
        "etc/crio/crio.conf.d/10-crio.conf": '[crio.image]\npause_image = "old/pause:1"\n',
        "etc/crio/crio.conf.d/20-provision.conf": '[crio.image]\npause_image = "p/pause:3"\n'
        '[crio.runtime]\ncgroup_manager = "systemd"\n',
        "etc/containers/registries.conf.d/50-provision.conf": "# Written by provision.\n\n[[registry]]\n"
        'prefix = "quay.io"\nlocation = "quay.io"\n\n[[registry.mirror]]\nlocation = "m:5000/quay.io"\n',
        "etc/containers/registries.conf.d/own.conf": '[[registry]]\nlocation = "docker.io"\n',
    }
    found: Any = software.software(tree(tmp_path, files))["crio"]
    assert found == {
        "configured": True,
        "systemd_cgroup": True,
        "sandbox_image": "p/pause:3",
        "selinux": False,
        "hosts": {
            "quay.io": {"urls": ["m:5000/quay.io"], "ours": True},
            "docker.io": {"urls": [], "ours": False},
        },
    }


def test_the_settings_of_docker_are_read_from_its_json_and_the_unit_of_cri_dockerd(tmp_path: Path) -> None:
    program = "/opt/cri-dockerd/0.4.0/cri-dockerd"
    unit = f"ExecStart={program} --container-runtime-endpoint fd:// --pod-infra-container-image=p/pause:3"
    daemon = {
        "exec-opts": ["native.cgroupdriver=systemd"],
        "log-driver": "json-file",
        "log-opts": {"max-size": "100m"},
        "insecure-registries": ["m:5000"],
    }
    files = {
        "etc/docker/daemon.json": json.dumps(daemon),
        "etc/systemd/system/cri-docker.service": f"# Written by provision.\n[Service]\n{unit}\n",
        program[1:]: "",
    }
    found: Any = software.software(tree(tmp_path, files))["docker"]
    assert found == {
        "configured": True,
        "systemd_cgroup": True,
        "sandbox_image": "p/pause:3",
        "selinux": False,
        "version": "0.4.0",
        "bounded_logs": True,
        "insecure": ["m:5000"],
    }


@pytest.mark.parametrize("text", ["", "{,}", "[]"])
def test_a_docker_without_settings_that_can_be_read_has_none(tmp_path: Path, text: str) -> None:
    found: Any = software.software(tree(tmp_path, {"etc/docker/daemon.json": text}))["docker"]
    assert not any(found.values())


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("instance-config.yaml", "apiVersion: v1\ncontainerRuntimeEndpoint: unix:///run/crio/crio.sock\n"),
        (
            "kubeadm-flags.env",
            'KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/crio/crio.sock"\n',
        ),
        (
            "kubeadm-flags.env",
            'KUBELET_KUBEADM_ARGS="--a=b --container-runtime-endpoint=unix:///run/crio/crio.sock --node-ip=10.0.0.1"\n',
        ),
    ],
)
def test_the_runtime_that_a_kubelet_uses_is_read(tmp_path: Path, file: str, text: str) -> None:
    found = kubernetes.kubernetes(tree(tmp_path, {f"var/lib/kubelet/{file}": text}))
    assert found["runtime_endpoint"] == "unix:///run/crio/crio.sock"


def test_what_kubeadm_left_is_read(tmp_path: Path) -> None:
    files = {
        "etc/kubernetes/pki/ca.crt": factories.CA,
        "etc/kubernetes/kubelet.conf": "clusters:\n- cluster:\n    server: https://10.0.0.11:6443\n",
        "etc/kubernetes/manifests/kube-apiserver.yaml": "spec:\n  containers:\n  - image: k8s/kube-apiserver:v1\n",
        "var/lib/provision/init-started": "",
    }
    found: Any = kubernetes.kubernetes(tree(tmp_path, files))
    assert found["kubelet_server"] == "https://10.0.0.11:6443"
    assert found["manifests"] == {"kube-apiserver": "k8s/kube-apiserver:v1"}
    assert found["markers"] == ["init-started"]
    assert found["certificates"] == {"ca": "361118110759Z"}


def test_the_hash_of_an_authority_is_the_one_that_kubeadm_pins() -> None:
    # openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum
    seen = factories.facts("cp1", factories.member(factories.cluster("cp").hosts[0]))
    assert (
        seen.kubernetes.ca_hash == "sha256:9f6eab9b48e883e436d1cfc07085dd4f6e6f00f2adcf55486e7c4c2a61026ef7"
    )


def test_text_that_is_no_certificate_is_none() -> None:
    assert certificates.from_pem("") == b""
    assert certificates.from_pem("-----BEGIN CERTIFICATE-----\nAAAA") == b""
