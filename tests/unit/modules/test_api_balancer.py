"""The load balancer on a node; that haproxy takes its configuration and balances is proven on the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Programs, library

balancer = library("api_balancer")
host = library("provision_host")
record = library("provision_record")

UNIT = "provision-api.service"
BACKENDS = [
    {"name": "cp2", "address": "fd00::12", "port": 6443},
    {"name": "cp1", "address": "10.0.0.11", "port": 6443},
]
LOCAL = {"kind": "local", "gone": [], "port": 7443, "name": "cp1", "vip": "", "interface": "", "source": ""}
VIP = {"kind": "vip", "vip": "10.0.0.10", "interface": "eth1", "source": "10.0.0.11"}
THREE = [{"name": f"cp{number}", "address": f"10.0.0.1{number}", "port": 6443} for number in (3, 1, 2)]


@pytest.fixture
def rig(root: Path) -> Path:
    (root / "usr/sbin").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    return root


def provide(
    root: Path, programs: Programs, backends: list[dict[str, Any]] | None = None, **parameters: Any
) -> list[str]:
    changes = host.Changes(record=record.Record("files", root=root))
    wanted = {**LOCAL, "backends": BACKENDS if backends is None else backends, **parameters}
    balancer.provide(wanted, changes, root=root, run=programs, pending_directory=root / "run")
    sentences: list[str] = changes.sentences
    return sentences


def installed(root: Path) -> Path:
    for name in ("haproxy", "keepalived"):
        (root / "usr/sbin" / name).touch()
    return root


def test_haproxy_comes_from_the_distribution_and_its_own_unit_does_not_run(
    rig: Path, programs: Programs
) -> None:
    sentences = provide(rig, programs)

    assert sentences[0] == "installed haproxy"
    assert programs.ran("apt-get", "install", "haproxy")
    assert programs.ran("systemctl", "disable", "--now", "haproxy.service")


def test_a_host_that_cannot_install_it_says_so(rig: Path, programs: Programs) -> None:
    programs.answer("apt-get", "install", status=100, err="E: Unable to locate package haproxy\n")

    with pytest.raises(
        host.HostError, match="haproxy cannot be installed from the host's own package repositories"
    ):
        provide(rig, programs)


def test_an_haproxy_that_is_there_is_left_alone(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs)

    assert not programs.ran("apt-get")
    assert not programs.ran("haproxy.service")


def test_every_api_server_is_a_server_in_an_order_of_its_own(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs)

    text = (rig / "etc/haproxy/provision-api.cfg").read_text()
    assert "bind 127.0.0.1:7443\n" in text
    servers = [line.strip() for line in text.splitlines() if line.strip().startswith("server ")]
    assert servers == ["server cp1 10.0.0.11:6443", "server cp2 [fd00::12]:6443"]


def test_the_unit_is_enabled_and_started(rig: Path, programs: Programs) -> None:
    programs.answer("systemctl", "is-enabled", UNIT, status=1)
    states = iter([3, 0, 0])  # before and after the start
    programs.answers.insert(0, (lambda argv: "is-active" in argv, 0, "", ""))

    def run(argv: Any, **options: Any) -> Any:
        if "is-active" in argv:
            return host.Completed(tuple(argv), next(states), "", "")
        return programs(argv, **options)

    changes = host.Changes()
    wanted = {**LOCAL, "backends": BACKENDS}
    balancer.provide(wanted, changes, root=installed(rig), run=run, pending_directory=rig / "run")

    assert changes.sentences[-2:] == [f"enabled {UNIT}", f"started {UNIT}"]


def test_a_running_one_is_reloaded_when_control_planes_change(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs)
    programs.calls.clear()

    assert provide(rig, programs, BACKENDS[:1])[-1] == f"reloaded {UNIT}"
    assert programs.ran("systemctl", "reload", UNIT)


def test_nothing_changes_the_second_time(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs)

    assert provide(rig, programs) == []


def test_a_reload_that_an_earlier_run_did_not_come_to_is_made_up_for(rig: Path, programs: Programs) -> None:
    programs.answer("systemctl", "reload", status=1)
    with pytest.raises(host.HostError):
        provide(installed(rig), programs, BACKENDS[:1])
    programs.answers.clear()

    assert provide(rig, programs, BACKENDS[:1]) == [f"reloaded {UNIT}"]


def test_a_balancer_that_is_not_wanted_any_more_goes(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs)

    sentences = provide(rig, programs, kind="none", gone=["local"])

    assert sentences[0] == f"stopped {UNIT}"
    assert not (rig / "etc/haproxy/provision-api.cfg").exists()
    assert not (rig / f"etc/systemd/system/{UNIT}").exists()
    assert provide(rig, programs, kind="none", gone=["local"]) == []


def test_a_virtual_address_is_kept_with_the_peers_of_this_host(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs, THREE, **VIP)

    haproxy = (rig / "etc/haproxy/provision-vip-api.cfg").read_text()
    keepalived = (rig / "etc/keepalived/provision-vip.conf").read_text()
    assert "    bind 10.0.0.10:7443 transparent\n" in haproxy
    assert "    server cp3 10.0.0.13:6443\n" in haproxy
    assert "    unicast_peer {\n        10.0.0.12\n        10.0.0.13\n    }\n" in keepalived
    assert "    virtual_ipaddress {\n        10.0.0.10/32\n    }\n" in keepalived
    assert all(
        line in keepalived for line in ("interface eth1\n", "unicast_src_ip 10.0.0.11\n", "router_id cp1\n")
    )
    unit = (rig / "etc/systemd/system/provision-vip.service").read_text()
    assert "BindsTo=provision-vip-api.service\n" in unit
    assert provide(rig, programs, THREE, **VIP) == []


def test_both_programs_of_a_virtual_address_come_from_the_distribution(rig: Path, programs: Programs) -> None:
    assert provide(rig, programs, THREE, **VIP)[:2] == ["installed haproxy", "installed keepalived"]
    assert programs.ran("systemctl", "disable", "--now", "keepalived.service")


def test_what_a_plan_looks_at_is_written_last(rig: Path, programs: Programs) -> None:
    sentences = provide(installed(rig), programs, THREE, **VIP)

    wrote = [sentence for sentence in sentences if sentence.startswith("wrote ")]
    assert wrote[-1] == f"wrote {rig}/etc/haproxy/provision-vip-api.cfg"


def test_the_virtual_address_is_let_go_before_its_balancer(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs, THREE, **VIP)

    sentences = provide(rig, programs, kind="none", gone=["vip"])

    assert [words for words in sentences if words.startswith("stopped")] == [
        "stopped provision-vip.service",
        "stopped provision-vip-api.service",
    ]
    assert not [*rig.glob("etc/*/provision-*"), *rig.glob("etc/systemd/system/provision-*")]


def test_one_that_is_alone_has_nobody_to_tell(rig: Path, programs: Programs) -> None:
    provide(installed(rig), programs, THREE[1:2], **VIP)

    assert "unicast_peer" not in (rig / "etc/keepalived/provision-vip.conf").read_text()


def test_a_configuration_that_keepalived_refuses_is_said_and_not_run(rig: Path, programs: Programs) -> None:
    programs.answer("keepalived", "--config-test", status=5, err="(Line 7) interface eth1 doesn't exist\n")

    with pytest.raises(
        host.HostError, match=r"keepalived refuses /etc/keepalived/provision-vip\.conf"
    ) as failure:
        provide(installed(rig), programs, THREE, **VIP)

    assert failure.value.lines == ["(Line 7) interface eth1 doesn't exist"]
    assert not programs.ran("systemctl", "restart", "provision-vip.service")
    assert (rig / "run/reload-provision-vip.service").exists()


def test_a_reset_knows_what_came_with_it(rig: Path, programs: Programs) -> None:
    provide(rig, programs)

    noted = record.Record("files", root=rig)
    assert noted.noted("packages")["haproxy"]["packages"] == ["haproxy"]
    assert set(noted.noted("files")) == {
        str(rig / "etc/haproxy/provision-api.cfg"),
        str(rig / f"etc/systemd/system/{UNIT}"),
    }
