from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

host_prepare = library("host_prepare")
Changes = library("provision_host").Changes
HostError = library("provision_host").HostError
Record = library("provision_record").Record

WANTED = {
    "hostname": "",
    "hosts_entries": [],
    "modules": ["overlay"],
    "sysctls": {"net.ipv4.ip_forward": "1"},
}


class Host(Programs):
    """A host whose swapoff and modprobe do what they say to the files that the kernel would show."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def __call__(self, argv: Any, **options: Any) -> object:
        if argv[0] == "swapoff":
            (self.root / "proc/swaps").write_text("Filename\n", encoding="utf-8")
        if argv[0] == "modprobe":
            for name in argv[2:]:
                (self.root / "sys/module" / name).mkdir()
        return super().__call__(argv, **options)


def prepare(root: Path, *, dry: bool = False, **wanted: Any) -> tuple[Any, Host]:
    changes, host = Changes(dry=dry), Host(root)
    host_prepare.prepare({**WANTED, **wanted}, changes, root=root, run=host)
    return changes, host


def test_a_second_run_changes_nothing(root: Path) -> None:
    prepare(root)

    changes, host = prepare(root)

    assert changes.sentences == []
    assert host.calls == []


def test_swap_from_fstab_goes_off_and_its_line_is_commented(root: Path) -> None:
    (root / "proc/swaps").write_text("Filename\n/swapfile file 1 0 -2\n", encoding="utf-8")
    (root / "etc/fstab").write_text("/dev/vda1 / ext4 rw 0 1\n/swapfile none swap sw 0 0\n", encoding="utf-8")

    changes, host = prepare(root)

    assert "turned swap off: /swapfile" in changes.sentences
    assert host.ran("swapoff", "/swapfile")
    assert host.ran("systemctl", "daemon-reload")
    assert (root / "etc/fstab").read_text(encoding="utf-8").splitlines() == [
        "/dev/vda1 / ext4 rw 0 1",
        "# provision keeps swap off: /swapfile none swap sw 0 0",
    ]


def test_swap_that_the_kernel_keeps_is_an_error(root: Path) -> None:
    (root / "proc/swaps").write_text("Filename\n/dev/vdb partition 1 0 -2\n", encoding="utf-8")

    with pytest.raises(HostError, match="swap is still on after swapoff: /dev/vdb"):
        host_prepare.prepare(WANTED, Changes(), root=root, run=Programs())


def test_swap_units_are_masked_but_not_those_of_fstab(root: Path) -> None:
    generated = root / "run/systemd/generator"
    generated.mkdir(parents=True)
    (generated / "swapfile.swap").write_text("[Unit]\nSourcePath=/etc/fstab\n", encoding="utf-8")
    (generated / "dev-vdb.swap").write_text("[Swap]\nWhat=/dev/vdb\n", encoding="utf-8")

    changes, _ = prepare(root)

    assert "masked dev-vdb.swap" in changes.sentences
    assert str((root / "etc/systemd/system/dev-vdb.swap").readlink()) == "/dev/null"
    assert not (root / "etc/systemd/system/swapfile.swap").is_symlink()


def test_a_units_own_file_is_kept_in_the_record_before_it_is_masked(root: Path) -> None:
    unit = root / "etc/systemd/system/data-swap.swap"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Swap]\nWhat=/data/swap\n", encoding="utf-8")

    prepare(root)

    record = json.loads((root / "var/lib/provision/before/host_prepare.json").read_text(encoding="utf-8"))
    assert record["files"][str(unit)]["text"] == "[Swap]\nWhat=/data/swap\n"


def test_zram_generator_is_switched_off_with_its_drop_ins(root: Path) -> None:
    for name in (
        "usr/lib/systemd/system-generators/zram-generator",
        "etc/systemd/zram-generator.conf.d/50.conf",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("[zram0]\n", encoding="utf-8")

    prepare(root)

    assert "[zram0]" not in (root / "etc/systemd/zram-generator.conf").read_text(encoding="utf-8")
    assert str((root / "etc/systemd/zram-generator.conf.d/50.conf").readlink()) == "/dev/null"


def test_modules_are_loaded_now_and_at_boot(root: Path) -> None:
    changes, host = prepare(root)

    assert host.ran("modprobe", "overlay")
    assert "loaded kernel modules: overlay" in changes.sentences
    assert "overlay" in (root / "etc/modules-load.d/provision.conf").read_text(encoding="utf-8").splitlines()


def test_sysctls_are_set_now_and_at_boot(root: Path) -> None:
    changes, _ = prepare(root)

    assert "set sysctl net.ipv4.ip_forward=1 (was 0)" in changes.sentences
    assert (root / "proc/sys/net/ipv4/ip_forward").read_text(encoding="utf-8") == "1\n"
    assert "net.ipv4.ip_forward = 1" in (root / "etc/sysctl.d/99-zz-provision.conf").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("name", ["etc/sysctl.d/zzz.conf", "usr/lib/sysctl.d/99-zzz.conf", "etc/sysctl.conf"])
def test_a_later_file_that_sets_a_sysctl_back_is_named_with_its_line(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("# mine\nnet/ipv4/ip_forward=0\n", encoding="utf-8")

    with pytest.raises(HostError, match=rf"/{name}:2 sets net.ipv4.ip_forward to 0") as failure:
        prepare(root)

    assert "delete that line" in failure.value.message


def test_an_earlier_file_may_say_what_it_wants(root: Path) -> None:
    (root / "etc/sysctl.d").mkdir()
    (root / "etc/sysctl.d/99-sysctl.conf").write_text("net.ipv4.ip_forward=0\n", encoding="utf-8")

    prepare(root)


def test_a_dry_run_describes_everything_and_touches_nothing(root: Path) -> None:
    (root / "proc/swaps").write_text("Filename\n/swapfile file 1 0 -2\n", encoding="utf-8")
    (root / "etc/fstab").write_text("/swapfile none swap sw 0 0\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    changes, host = prepare(root, dry=True, hosts_entries=[{"address": "10.0.0.1", "names": ["a"]}])

    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
    assert host.calls == []
    assert len(changes.sentences) == 7
    assert any(diff["after"].startswith("# provision keeps swap off") for diff in changes.diffs)


def test_the_hosts_block_is_replaced_and_the_rest_stays(root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n", encoding="utf-8")
    prepare(root, hosts_entries=[{"address": "10.0.0.1", "names": ["a"]}])
    with (root / "etc/hosts").open("a", encoding="utf-8") as file:
        file.write("10.9.9.9 mine\n")

    prepare(root, hosts_entries=[{"address": "10.0.0.2", "names": ["b", "b.example"]}])

    assert (root / "etc/hosts").read_text(encoding="utf-8") == (
        "127.0.0.1 localhost\n# BEGIN provision\n10.0.0.2 b b.example\n# END provision\n10.9.9.9 mine\n"
    )


@pytest.mark.parametrize("name", ["a b", "a\nb", "a#b", ""])
def test_a_hosts_entry_cannot_smuggle_in_another(root: Path, name: str) -> None:
    with pytest.raises(HostError, match="no entry for /etc/hosts"):
        prepare(root, hosts_entries=[{"address": "10.0.0.1", "names": [name]}])


def test_the_host_name_is_set_in_kernel_and_file(root: Path) -> None:
    told: list[str] = []
    changes = Changes()

    host_prepare.set_hostname(
        root, "w1", changes, Record("x", root=root), current=lambda: "debian", tell_kernel=told.append
    )

    assert told == ["w1"]
    assert (root / "etc/hostname").read_text(encoding="utf-8") == "w1\n"
    assert changes.sentences[0] == "set the host name: w1 (was debian)"


def test_cloud_init_is_told_to_keep_the_names(root: Path) -> None:
    (root / "etc/cloud").mkdir()

    prepare(root, hosts_entries=[{"address": "10.0.0.1", "names": ["a"]}])

    text = (root / "etc/cloud/cloud.cfg.d/99-zz-provision.cfg").read_text(encoding="utf-8")
    assert "preserve_hostname: true" in text


def test_the_record_keeps_what_was_noted_first(root: Path) -> None:
    Record("x", root=root).note("sysctls", "a", "0")
    Record("x", root=root).note("sysctls", "a", "1")

    path = root / "var/lib/provision/before/x.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {"sysctls": {"a": "0"}}
    assert path.stat().st_mode & 0o777 == 0o600
