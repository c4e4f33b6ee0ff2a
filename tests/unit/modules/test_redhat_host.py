"""What a host with rpm needs besides: policy, kernel modules, a network left alone, labels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Programs, library

if TYPE_CHECKING:
    from pathlib import Path

host = library("provision_host")
redhat = library("provision_redhat")
api_balancer = library("api_balancer")
host_prepare = library("host_prepare")
kubeadm = library("provision_kubeadm")
Changes, HostError = host.Changes, host.HostError
Record = library("provision_record").Record
RELEASE = "5.14.0-503.11.1.el9_5.x86_64"
TIMER = "etc/systemd/system/timers.target.wants/nm-cloud-setup.timer"
UNMANAGED = "etc/NetworkManager/conf.d/99-zz-provision.conf"


@pytest.fixture
def rocky(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of Rocky Linux with SELinux, no package of which is known, and a kernel without br_netfilter."""
    (root / "etc/os-release").write_text('ID="rocky"\nID_LIKE="rhel"\nVERSION_ID="9.5"\n', encoding="utf-8")
    modules = root / "lib/modules" / RELEASE
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("kernel/fs/overlayfs/overlay.ko.xz:\n", encoding="utf-8")
    machine = os.uname_result(("Linux", "w1", RELEASE, "#1", "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: machine)
    monkeypatch.setattr(redhat, "query", lambda _root, _names: {})
    return root


def enforce(root: Path, value: str = "1") -> None:
    (root / "sys/fs/selinux").mkdir(parents=True, exist_ok=True)
    (root / "sys/fs/selinux/enforce").write_text(value, encoding="utf-8")


def install(root: Path, modules: list[str], programs: Programs) -> Any:
    changes = Changes(record=Record("files", root=root))
    redhat.install_needed(root, modules, programs, changes)
    return changes


class Repository(Programs):
    """Programs with a dnf that installs the kernel modules of a package."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.modules = root / "lib/modules" / RELEASE / "modules.dep"

    def __call__(self, argv: Any, **options: Any) -> object:
        if argv[0] == "dnf" and any("modules-extra" in word for word in argv):
            self.modules.write_text("fs/overlay.ko.xz:\nextra/br_netfilter.ko.xz:\n", encoding="utf-8")
        return super().__call__(argv, **options)


def test_the_policy_for_containers_is_installed_where_selinux_is_on_and_recorded(rocky: Path) -> None:
    enforce(rocky, "0")  # permissive: it may be enforcing after the next boot
    programs = Programs()

    changes = install(rocky, ["overlay"], programs)

    assert changes.sentences == ["installed container-selinux"]
    assert programs.ran("dnf", "install", "container-selinux")
    assert Record("files", root=rocky).noted("packages")["host"]["packages"] == ["container-selinux"]


def test_without_selinux_and_with_all_modules_nothing_is_installed(rocky: Path) -> None:
    programs = Programs()

    assert install(rocky, ["overlay"], programs).sentences == []
    assert programs.calls == []


def test_on_debian_nothing_is_looked_for(rocky: Path) -> None:
    enforce(rocky)
    (rocky / "etc/os-release").write_text("ID=debian\n", encoding="utf-8")

    assert install(rocky, ["br_netfilter"], Programs()).sentences == []


def test_modules_that_are_missing_come_from_the_package_of_exactly_the_running_kernel(rocky: Path) -> None:
    programs = Repository(rocky)

    install(rocky, ["overlay", "br_netfilter"], programs)

    assert programs.ran("dnf", "install", f"kernel-modules-extra-{RELEASE}")
    assert not any(word == "kernel" for call in programs.calls for word in call)


def test_a_kernel_whose_modules_the_repositories_have_no_more_is_to_be_replaced_by_a_reboot(
    rocky: Path,
) -> None:
    programs = Programs()
    programs.answer("dnf", status=1, err=f"Error: Unable to find a match: kernel-modules-extra-{RELEASE}")

    with pytest.raises(
        HostError, match=r"lacks br_netfilter, and kernel-modules-extra-5\.14.* any more"
    ) as failure:
        install(rocky, ["br_netfilter"], programs)

    assert "sudo dnf upgrade` and `sudo reboot" in failure.value.message


def test_a_repository_that_cannot_be_reached_is_no_reason_for_a_reboot(rocky: Path) -> None:
    programs = Programs()
    programs.answer("dnf", status=1, err="Curl error (7): Couldn't connect to server: Connection refused")

    with pytest.raises(HostError, match="the package repository cannot be reached"):
        install(rocky, ["br_netfilter"], programs)


def test_a_package_that_does_not_bring_the_module_is_an_error(rocky: Path) -> None:
    with pytest.raises(HostError, match=f"{RELEASE} lacks br_netfilter, with kernel-modules-extra-"):
        install(rocky, ["br_netfilter"], Programs())


def test_the_network_is_left_alone_and_given_back(rocky: Path) -> None:
    timer = rocky / TIMER
    for directory in (timer.parent, rocky / "etc/NetworkManager/conf.d"):
        directory.mkdir(parents=True)
    timer.symlink_to("/usr/lib/systemd/system/nm-cloud-setup.timer")
    changes, programs = Changes(record=Record("files", root=rocky)), Programs()
    record = Record("host_prepare", root=rocky)

    redhat.leave_pods_alone(rocky, programs, changes, record)

    text = (rocky / UNMANAGED).read_text(encoding="utf-8")
    assert "\nunmanaged-devices+=interface-name:cali*;interface-name:tunl*;" in text
    assert programs.calls == [
        ["systemctl", "try-reload-or-restart", "NetworkManager.service"],
        ["systemctl", "disable", "--now", "--quiet", "nm-cloud-setup.timer"],
    ]
    assert "goes with the next reboot" in changes.sentences[-1]
    timer.unlink()
    programs.calls.clear()
    redhat.leave_pods_alone(rocky, programs, Changes(), record)
    assert programs.calls == []

    written = Record("files", root=rocky).noted("files")
    redhat.give_network_back(written, Changes(), record, root=rocky, run=programs)
    assert programs.calls == [
        ["systemctl", "try-reload-or-restart", "NetworkManager.service"],
        ["systemctl", "enable", "--now", "--quiet", "nm-cloud-setup.timer"],
    ]


def test_a_host_without_networkmanager_gets_no_file_of_it(rocky: Path) -> None:
    redhat.leave_pods_alone(rocky, Programs(), Changes(), Record("host_prepare", root=rocky))

    assert not (rocky / "etc/NetworkManager").exists()


def test_a_boolean_is_set_where_it_is_off_and_taken_back(rocky: Path) -> None:
    enforce(rocky)
    programs, changes = Programs(), Changes(record=Record("files", root=rocky))
    programs.answer("getsebool", out="haproxy_connect_any --> on\n")
    redhat.allow("haproxy_connect_any", rocky, programs, changes)
    assert changes.sentences == []

    programs.answer("getsebool", out="haproxy_connect_any --> off\n")
    redhat.allow("haproxy_connect_any", rocky, programs, changes)
    redhat.forbid(changes, Record("files", root=rocky), root=rocky, run=programs)

    assert programs.ran("setsebool", "-P", "haproxy_connect_any=on")
    assert programs.calls[-1] == ["setsebool", "-P", "haproxy_connect_any=off"]


def test_places_are_labelled_only_where_selinux_is_on_and_they_are_there(rocky: Path) -> None:
    (rocky / "etc/kubernetes").mkdir()
    (rocky / "var/lib/etcd").mkdir(parents=True)
    programs = Programs()
    redhat.label_before(rocky, programs)
    assert programs.calls == []

    enforce(rocky)
    redhat.label_before(rocky, programs)
    redhat.label_after(rocky, programs)

    assert programs.calls == [
        ["restorecon", "-RF", f"{rocky}/etc/kubernetes"],
        ["restorecon", "-RF", f"{rocky}/etc/kubernetes", f"{rocky}/var/lib/etcd"],
    ]


def test_a_file_that_is_replaced_keeps_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    path.write_text("old\n", encoding="utf-8")
    labels: list[bytes] = []
    monkeypatch.setattr(
        os, "getxattr", lambda _path, name: b"net_conf_t" if name == "security.selinux" else b""
    )
    monkeypatch.setattr(os, "setxattr", lambda _handle, _name, value: labels.append(value))

    host.atomic_write(path, "new\n")

    assert labels == [b"net_conf_t"]


def test_preparing_a_host_does_all_of_it_before_modules_are_loaded(rocky: Path) -> None:
    enforce(rocky)
    programs = Repository(rocky)
    wanted = {"hostname": "", "hosts_entries": [], "modules": ["br_netfilter"], "sysctls": {}}

    host_prepare.prepare(wanted, Changes(), root=rocky, run=programs)

    verbs = [call[0] for call in programs.calls]
    assert verbs.index("dnf") < verbs.index("modprobe")
