"""A reset puts back what was there: hosts as directories, programs answered; the real thing is done on the lab."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

host_prepare = library("host_prepare")
host_files = library("host_files")
host_reset = library("host_reset")
pinned_packages = library("pinned_packages")
packages = library("provision_packages")
places = library("provision_places")
pods = library("provision_pods")
cri = library("provision_cri")
restore = library("provision_restore")
firewall = library("provision_firewall")
links = library("provision_links")
Changes = library("provision_host").Changes
HostError = library("provision_host").HostError
Record = library("provision_record").Record

PREPARE = {
    "hostname": "",
    "hosts_entries": [{"address": "10.0.0.11", "names": ["cp1"]}],
    "modules": ["overlay"],
    "sysctls": {"net.ipv4.ip_forward": "1"},
}
RANGES = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12"}


class Host(Programs):
    """A host whose swapon, swapoff and modprobe do what they say."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.answer("systemctl", "show", out="LoadState=not-found\n")

    def __call__(self, argv: Any, **options: Any) -> object:
        swaps = self.root / "proc/swaps"
        if argv[0] == "swapoff":
            swaps.write_text("Filename\n", encoding="utf-8")
        if list(argv[:2]) == ["swapon", "--all"]:
            swaps.write_text("Filename\n/swapfile file 1 0 -2\n", encoding="utf-8")
        if argv[0] == "modprobe":
            for name in argv[2:]:
                (self.root / "sys/module" / name).mkdir()
        return super().__call__(argv, **options)


@pytest.fixture
def host(root: Path) -> Host:
    """A cloud image: swap in fstab, a hosts file without a last line's end, a sysctl of its own."""
    (root / "proc/swaps").write_text("Filename\n/swapfile file 1 0 -2\n", encoding="utf-8")
    (root / "proc/self").mkdir()
    (root / "proc/self/mountinfo").write_text("", encoding="utf-8")
    (root / "etc/fstab").write_text("/dev/vda1 / ext4 rw 0 1\n/swapfile none swap sw 0 0", encoding="utf-8")
    (root / "etc/hosts").write_text("127.0.0.1 localhost", encoding="utf-8")
    (root / "etc/hosts").chmod(0o640)
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/panic").write_text("0\n", encoding="utf-8")
    return Host(root)


def fingerprint(root: Path) -> dict[str, str]:
    """Every file below etc, usr and var with mode and content, and the kernel's settings."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not name.startswith(("sys/", "proc/swaps")):
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        elif path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir() and not name.startswith("sys/"):
            found[name] = "directory"
    return found


def changes_of(root: Path, *, dry: bool = False) -> Any:
    return Changes(dry=dry, record=Record("files", root=root))


def prepare(root: Path, host: Host) -> None:
    host_prepare.prepare(PREPARE, changes_of(root), root=root, run=host)


def reset(root: Path, host: Host, *, dry: bool = False) -> Any:
    changes = Changes(dry=dry)
    host_reset.reset(RANGES, changes, root=root, run=host)
    return changes


def test_after_prepare_and_reset_every_file_mode_and_sysctl_is_as_before(root: Path, host: Host) -> None:
    before = fingerprint(root)
    prepare(root, host)
    (root / "proc/sys/kernel/panic").write_text("10\n", encoding="utf-8")  # as the kubelet does
    assert fingerprint(root) != before

    reset(root, host)

    assert {**fingerprint(root), "var": "", "var/lib": ""} == {**before, "var": "", "var/lib": ""}
    assert "/swapfile" in (root / "proc/swaps").read_text()


def test_a_second_reset_changes_nothing(root: Path, host: Host) -> None:
    prepare(root, host)
    reset(root, host)

    assert reset(root, host).sentences == []


def test_a_dry_reset_changes_nothing_and_says_what_it_would_do(root: Path, host: Host) -> None:
    prepare(root, host)
    before = fingerprint(root)

    changes = reset(root, host, dry=True)

    assert fingerprint(root) == before
    assert f"restored {root}/etc/fstab" in changes.sentences


INSTALLED = """\
Package: cri-o
Status: hold ok installed
Version: 1.36.3-1.1

"""


def crio_host(root: Path, *, ours: bool) -> None:
    """A host with CRI-O, its storage, and the record of who installed it."""
    (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (root / "var/lib/dpkg/status").write_text(INSTALLED, encoding="utf-8")
    for place in ("etc/crio", "var/lib/crio", "var/lib/containers/storage/overlay-containers/a", "run/crio"):
        (root / place).mkdir(parents=True)
    (root / "etc/crictl.yaml").write_text(
        "# Written by provision.\nruntime-endpoint: unix:///run/crio/crio.sock\n", encoding="utf-8"
    )
    before = [] if ours else ["cri-o"]
    Record("files", root=root).note(
        "packages", "crio", {"packages": ["cri-o"], "installed": before, "held": []}
    )


def test_packages_that_are_asked_for_later_leave_with_the_others(root: Path) -> None:
    (root / "var/lib/dpkg").mkdir(parents=True)
    status, record = root / "var/lib/dpkg/status", Record("files", root=root)
    paragraph = "Package: {}\nStatus: hold ok installed\nVersion: 1\n\n"
    status.write_text(paragraph.format("own"), encoding="utf-8")
    packages.note_before("kubernetes", ["kubelet"], record, root)
    status.write_text(paragraph.format("own") + paragraph.format("kubelet"), encoding="utf-8")
    packages.note_before("kubernetes", ["kubelet", "cri-tools", "own"], record, root)
    packages.note_before("kubernetes", ["kubelet", "cri-tools", "own"], record, root)
    status.write_text(status.read_text() + paragraph.format("cri-tools"), encoding="utf-8")

    assert record.noted("packages").keys() == {"kubernetes", "kubernetes:cri-tools+own"}
    assert packages.ours(record, root) == ["cri-tools", "kubelet"]
    assert packages.ours(record, root, "kubernetes") == ["cri-tools", "kubelet"]
    assert packages.ours(record, root, "crio") == []


def test_a_crio_that_came_with_us_leaves_with_everything_that_it_kept(root: Path, host: Host) -> None:
    prepare(root, host)
    crio_host(root, ours=True)
    host.answer("systemctl", "show", out="LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n")

    changes = reset(root, host)

    assert host.ran("systemctl", "stop", "crio.service")
    assert host.ran("systemctl", "disable", "crio.service")
    assert "removed the packages cri-o" in changes.sentences
    for place in ("etc/crio", "etc/crictl.yaml", "var/lib/crio", "var/lib/containers", "run/crio"):
        assert not (root / place).exists(), place
    assert not host.ran("systemctl", "start", "crio.service")


def test_a_crio_of_others_stays_without_the_containers_of_kubernetes(
    root: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(root, host)
    crio_host(root, ours=False)
    Record("files", root=root).note("units", "crio.service", {"enabled": True, "active": True})
    monkeypatch.setattr(cri.shutil, "which", lambda name, **_: "/usr/bin/crio" if name == "crio" else None)
    host.answer("systemctl", "is-active", status=3)

    changes = reset(root, host)

    assert (root / "var/lib/containers/storage").exists()
    wiped = changes.sentences.index("removed containers and images of Kubernetes from CRI-O")
    assert wiped < changes.sentences.index("started crio.service")
    assert host.ran("crio", "wipe", "--force")


class PowerCutError(Exception):
    pass


@pytest.mark.parametrize("after", range(12))
def test_a_reset_that_is_cut_off_after_any_change_and_run_again_ends_equal(
    root: Path, host: Host, after: int
) -> None:
    before = fingerprint(root)
    prepare(root, host)
    (root / "var/lib/kubelet/pods").mkdir(parents=True)
    changes = Changes()
    make = changes.make

    def cut_off(*arguments: Any, **options: Any) -> None:
        if len(changes.sentences) == after:
            raise PowerCutError
        make(*arguments, **options)

    changes.make = cut_off
    try:
        host_reset.reset(RANGES, changes, root=root, run=host)
    except PowerCutError:
        reset(root, host)

    assert {**fingerprint(root), "var": "", "var/lib": ""} == {**before, "var": "", "var/lib": ""}
    assert "/swapfile" in (root / "proc/swaps").read_text()


def test_what_somebody_wrote_into_our_files_since_stays(root: Path, host: Host) -> None:
    prepare(root, host)
    fstab = root / "etc/fstab"
    fstab.write_text(fstab.read_text() + "server:/data /data nfs rw 0 0\n", encoding="utf-8")
    (root / "etc/sysctl.d/99-zz-provision.conf").write_text("# mine now\n", encoding="utf-8")

    reset(root, host)

    assert fstab.read_text().splitlines()[-1] == "server:/data /data nfs rw 0 0"
    assert "/swapfile none swap sw 0 0" in fstab.read_text().splitlines()
    assert (root / "etc/sysctl.d/99-zz-provision.conf").read_text() == "# mine now\n"


def test_masked_units_get_their_own_file_back(root: Path, host: Host) -> None:
    unit = root / "etc/systemd/system/data-swap.swap"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Swap]\nWhat=/data/swap\n", encoding="utf-8")
    prepare(root, host)
    assert unit.is_symlink()

    reset(root, host)

    assert (unit.is_symlink(), unit.read_text()) == (False, "[Swap]\nWhat=/data/swap\n")


def test_files_that_we_wrote_go_with_the_directories_that_we_made(root: Path, host: Host) -> None:
    file = {"path": "/etc/containerd/certs.d/quay.io/hosts.toml", "content": "# Written by provision.\n"}
    wanted = {"files": [{**file, "mode": "", "owner": "", "block": False}], "prune": [], "units": []}
    host_files.provide(wanted, changes_of(root), root=root, run=host, pending_directory=root / "run")

    reset(root, host)

    assert not (root / "etc/containerd").exists()


def test_a_file_that_we_replaced_comes_back(root: Path, host: Host) -> None:
    config = root / "etc/containerd/config.toml"
    config.parent.mkdir()
    config.write_text("version = 2  # mine\n", encoding="utf-8")
    file = {"path": "/etc/containerd/config.toml", "content": "# Written by provision.\nversion = 3\n"}
    wanted = {"files": [{**file, "mode": "", "owner": "", "block": False}], "prune": [], "units": []}
    host_files.provide(wanted, changes_of(root), root=root, run=host, pending_directory=root / "run")
    host_files.provide(wanted, changes_of(root), root=root, run=host, pending_directory=root / "run")

    reset(root, host)

    assert config.read_text() == "version = 2  # mine\n"


def test_a_file_without_our_mark_is_known_by_what_we_wrote(root: Path, host: Host) -> None:
    for name in ("kept", "edited"):
        changes_of(root).file(root / "etc" / name, "ours\n")
    (root / "etc/edited").write_text("theirs\n", encoding="utf-8")

    reset(root, host)

    assert not (root / "etc/kept").exists()
    assert (root / "etc/edited").read_text() == "theirs\n"


def dpkg(root: Path, *names: str, automatic: tuple[str, ...] = ()) -> None:
    """Packages `name` or `name:needed,needed` as dpkg's status has them; a leading = holds."""
    text = ""
    for name in names:
        plain, _, needs = name.lstrip("=").partition(":")
        want = "hold" if name.startswith("=") else "install"
        depends = f"Depends: {needs.replace(',', ', ')}\n" if needs else ""
        text += f"Package: {plain}\nStatus: {want} ok installed\n{depends}Version: 1\n\n"
    path = root / "var/lib/dpkg/status"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    states = root / "var/lib/apt/extended_states"
    states.parent.mkdir(parents=True, exist_ok=True)
    states.write_text(
        "".join(f"Package: {name}\nAuto-Installed: 1\n\n" for name in automatic), encoding="utf-8"
    )


OURS = (
    "=kubeadm:cri-tools,libc6",
    "=kubelet:kubernetes-cni,iptables,libc6",
    "=kubectl",
    "cri-tools",
    "kubernetes-cni",
)


def note_before(root: Path) -> Any:
    record = Record("files", root=root)
    packages.note_before("kubernetes", ["kubeadm", "kubelet", "kubectl"], record, root)
    return record


def test_only_packages_that_came_with_us_are_removed(root: Path, host: Host) -> None:
    dpkg(root, "libc6", "iptables:libc6")
    record = note_before(root)
    dpkg(root, "libc6", "iptables:libc6", "vim:libc6", *OURS, automatic=("cri-tools", "kubernetes-cni"))

    packages.remove(Changes(), record, root=root, run=host)

    assert host.calls == [
        ["dpkg", "--force-confold", "--purge", "cri-tools", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"]
    ]


def test_a_dependency_that_another_package_needs_or_somebody_asked_for_stays(root: Path) -> None:
    dpkg(root, "libc6")
    record = note_before(root)
    dpkg(
        root,
        "libc6",
        "iptables:libc6",
        "podman:kubernetes-cni",
        *OURS,
        automatic=("kubernetes-cni", "iptables"),
    )  # cri-tools was asked for since

    assert packages.ours(record, root) == ["iptables", "kubeadm", "kubectl", "kubelet"]


def test_packages_that_were_there_before_stay_and_only_our_hold_goes(root: Path, host: Host) -> None:
    dpkg(root, "kubectl", "=kubelet", "libc6")
    record = note_before(root)
    dpkg(root, "=kubectl", "=kubelet", "=kubeadm", "libc6")

    packages.remove(Changes(), record, root=root, run=host)

    assert host.ran("dpkg", "--purge", "kubeadm")
    assert not host.ran("--purge", "kubectl")
    assert packages.to_release(record, root) == ["kubectl"]


def test_a_data_disk_below_a_place_is_never_emptied(root: Path) -> None:
    disk = root / "var/lib/kubelet/pods/volumes/nfs"
    disk.mkdir(parents=True)
    (disk / "precious").touch()
    (root / "proc/self").mkdir()
    (root / "proc/self/mountinfo").write_text(
        f"36 35 0:32 / {disk} rw - nfs server:/x rw\n", encoding="utf-8"
    )

    with pytest.raises(HostError, match="is still mounted and would be emptied"):
        places.sweep([root / "var/lib/kubelet"], {}, Changes(), root=root)

    assert (disk / "precious").exists()


def test_a_place_that_is_a_disk_of_its_own_is_emptied_and_stays(root: Path) -> None:
    etcd = root / "var/lib/etcd"
    (etcd / "member").mkdir(parents=True)
    (root / "proc/self").mkdir()
    (root / "proc/self/mountinfo").write_text(f"36 35 8:1 / {etcd} rw - ext4 /dev/sdb rw\n", encoding="utf-8")
    host = Programs()

    places.unmount_below([etcd], Changes(), root=root, run=host)
    places.sweep([etcd], {}, Changes(), root=root)

    assert list(etcd.iterdir()) == []
    assert host.calls == []


def test_names_that_were_there_before_stay(root: Path) -> None:
    for name in ("loopback", "calico"):
        (root / "opt/cni/bin").mkdir(parents=True, exist_ok=True)
        (root / "opt/cni/bin" / name).touch()

    places.sweep([root / "opt/cni/bin"], {str(root / "opt/cni/bin"): ["loopback"]}, Changes(), root=root)

    assert [path.name for path in (root / "opt/cni/bin").iterdir()] == ["loopback"]


def test_a_mount_point_with_a_blank_is_read_as_it_is(root: Path) -> None:
    (root / "proc/self").mkdir()
    (root / "proc/self/mountinfo").write_text("36 35 0:1 / /mnt/a\\040b rw - tmpfs x rw\n", encoding="utf-8")

    assert places.mounts(root) == ["/mnt/a b"]


def process(root: Path, number: int, cgroup: str, command: str = "sleep\0", state: str = "S") -> None:
    directory = root / "proc" / str(number)
    directory.mkdir()
    (directory / "cgroup").write_text(f"0::{cgroup}\n", encoding="utf-8")
    (directory / "cmdline").write_text(command, encoding="utf-8")
    (directory / "stat").write_text(f"{number} (x) {state} 1 1", encoding="utf-8")


def test_processes_of_pods_and_their_shims_end_and_no_others(root: Path) -> None:
    process(root, 10, "/kubepods.slice/kubepods-pod1.slice/cri-containerd-a.scope")
    process(
        root,
        11,
        "/system.slice/containerd.service",
        "/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0a\0",
    )
    process(root, 12, "/system.slice/docker.service", "/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0")
    process(root, 13, "/user.slice")
    process(root, 14, "/kubepods.slice/x", state="Z")
    sent = []

    def kill(number: int, signal: int) -> None:
        sent.append((number, int(signal)))
        if signal == 9:
            (root / "proc" / str(number) / "cmdline").unlink()
            (root / "proc" / str(number) / "cgroup").unlink()

    pods.stop_pods(Changes(), root=root, kill=kill, pause=lambda _seconds: None)

    assert sent == [(10, 15), (10, 9), (11, 9)]


def test_a_process_that_cannot_be_killed_is_told_with_the_way_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(root, 10, "/kubepods.slice/x", state="D")
    monkeypatch.setattr(pods, "_GONE", 0)
    monkeypatch.setattr(pods, "_GRACE", 0)

    with pytest.raises(HostError, match="cannot be killed: 10"):
        pods.stop_pods(Changes(), root=root, kill=lambda *_: None, pause=lambda _seconds: None)


SAVED = """\
# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-MARK-MASQ - [0:0]
:cali-PREROUTING - [0:0]
:DOCKER - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-DN-aaaa - [0:0]
:CNI-DN-bbbb - [0:0]
-A PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: k8s" -m multiport --dports 80 -j CNI-DN-aaaa
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: podman" -m multiport --dports 81 -j CNI-DN-bbbb
-A CNI-DN-aaaa -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.244.1.2:8080
-A CNI-DN-bbbb -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.88.0.2:8080
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -j KUBE-MARK-MASQ
COMMIT
*filter
:INPUT DROP [5:300]
:FORWARD ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT
COMMIT
*mangle
:FORWARD ACCEPT [0:0]
COMMIT
"""


def test_only_our_rules_and_chains_leave_the_firewall() -> None:
    assert firewall.removal(SAVED, "10.244.0.0/16") == (
        "*nat\n"
        '-D PREROUTING -m comment --comment "cali:6gwbT8clXdHdC1b1" -j cali-PREROUTING\n'
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\n'
        '-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: k8s" -m multiport --dports 80 -j CNI-DN-aaaa\n'
        "-F CNI-DN-aaaa\n-F KUBE-MARK-MASQ\n-F KUBE-SERVICES\n-F cali-PREROUTING\n"
        "-X CNI-DN-aaaa\n-X KUBE-MARK-MASQ\n-X KUBE-SERVICES\n-X cali-PREROUTING\n"
        "COMMIT\n"
        "*filter\n"
        '-D FORWARD -m comment --comment "cali:S93hcgKJrXEqnTfs" -m mark --mark 0x10000/0x10000 -j ACCEPT\n'
        "COMMIT\n"
    )


def test_a_firewall_without_anything_of_ours_is_not_touched(programs: Programs) -> None:
    programs.answer("iptables-save", out="*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n")

    firewall.remove_rules(
        "10.244.0.0/16",
        "10.96.0.0/12",
        Changes(),
        run=programs,
        which=lambda name, **_: name == "iptables-save",
    )

    assert programs.calls == [["iptables-save"]]


def test_only_virtual_servers_of_services_leave_ipvs(programs: Programs) -> None:
    programs.answer(
        "ipvsadm",
        "--save",
        out="-A -t 10.96.0.1:443 -s rr\n-a -t 10.96.0.1:443 -r 10.0.0.1:6443\n-A -t 192.0.2.1:80 -s rr\n",
    )

    firewall.remove_rules(
        "10.244.0.0/16", "10.96.0.0/12", Changes(), run=programs, which=lambda name, **_: name == "ipvsadm"
    )

    assert programs.calls[1:] == [["ipvsadm", "--delete-service", "-t", "10.96.0.1:443"]]


def test_only_calicos_interfaces_and_routes_to_pods_go(root: Path, programs: Programs) -> None:
    for name in ("eth0", "california0", "cali0123456789a", "vxlan.calico", "tunl0", "docker0"):
        (root / "sys/class/net" / name).mkdir(parents=True)
    programs.answer(
        "ip",
        "route",
        "80",
        out="blackhole 10.244.5.0/26 proto 80 \n10.99.0.0/16 via 10.0.0.1 dev eth0 proto 80\n",
    )

    links.remove_links(Changes(), root=root, run=programs)
    links.remove_routes("10.244.0.0/16", Changes(), run=programs)

    deleted = [call[3:] for call in programs.calls if "delete" in call]
    assert deleted == [["cali0123456789a"], ["vxlan.calico"], ["blackhole", "10.244.5.0/26", "proto", "80"]]


def test_an_interface_that_goes_with_its_namespace_is_gone(root: Path, programs: Programs) -> None:
    place = root / "sys/class/net/cali0123456789a"
    place.mkdir(parents=True)

    def run(argv: list[str], **options: Any) -> object:
        place.rmdir()
        return programs(argv, **options)

    programs.answer("delete", status=1, err='Cannot find device "cali0123456789a"')
    links.remove_links(Changes(), root=root, run=run)
    place.mkdir()

    with pytest.raises(HostError, match="ip ended with status 1"):
        links.remove_links(Changes(), root=root, run=programs)
