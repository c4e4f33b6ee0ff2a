"""A machine's command line, seed disk, keys and cluster file."""

from __future__ import annotations

import dataclasses
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.config import kubeadm_only, load_text
from provision.errors import LabError
from provision.lab import lab
from provision.lab.cluster_file import render_cluster_file, write_cluster_file
from provision.lab.identity import ensure_identity, read_host_key
from provision.lab.lab import MEMORY, LabRequest
from provision.lab.machines import backends, uml
from provision.lab.machines.qemu import Qemu, kvm_works
from provision.lab.machines.uml import UserModeLinux, memory_directory
from provision.lab.state import Lab, LabDirectory, Machine, design_machines, lab_directory
from provision.lab.versions import Offer, choose_offer, lab_versions

CP1 = Machine("cp1", "control-plane", "192.168.77.11", 3072)
PLACE, BASE = Path("/labs/demo/machines/cp1"), Path("/cache/disk.img")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LabDirectory, Lab]:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state with space"))
    directory, demo = lab_directory("demo"), Lab("demo", "uml", {}, design_machines(1, 1, MEMORY))
    ensure_identity(directory, demo)
    return directory, demo


def golden_text(directory: LabDirectory, demo: Lab, endpoint: str | None = None) -> str:
    text = render_cluster_file(directory, demo, "A" * 40, endpoint)
    for machine in demo.machines:
        text = text.replace(read_host_key(directory, machine), f"ssh-ed25519 KEY-OF-{machine.name}")
    return text.replace(str(directory.path), "LAB")


@pytest.mark.parametrize("backend", [UserModeLinux(), Qemu(accelerated=True), Qemu(accelerated=False)])
def test_a_machine_is_found_by_an_argument_of_its_command(backend: UserModeLinux | Qemu) -> None:
    assert backend.marker(PLACE) in backend.command(CP1, PLACE, BASE)
    assert backend.marker(PLACE) not in backend.command(CP1, PLACE.with_name("cp10"), BASE)


def test_the_command_lines_are_as_reviewed(
    golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.machines.uml.os.sched_getaffinity", lambda _pid: {0, 1})
    backends = (UserModeLinux(), Qemu(accelerated=True), Qemu(accelerated=False))

    lines = ("\n  ".join(backend.command(CP1, PLACE, BASE)) for backend in backends)

    golden("lab/commands.txt", "\n".join(lines) + "\n")


def test_machines_are_spread_over_the_available_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.lab.machines.uml.os.sched_getaffinity", lambda _pid: {2, 5})

    processors = {machine.name: uml.processor(machine) for machine in design_machines(3, 5, MEMORY)}

    # A control plane has as much to do as three workers.
    assert processors == {"cp1": 2, "cp2": 5, "cp3": 2, "w1": 5, "w2": 5, "w3": 5, "w4": 2, "w5": 5}
    assert {
        machine.name: uml.processor(machine) for machine in design_machines(1, 2, MEMORY)
    }.items() <= processors.items()


def test_a_machine_has_a_processor_of_its_own_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.lab.machines.uml.os.sched_getaffinity", lambda _pid: set(range(8)))

    assert len({uml.processor(machine) for machine in design_machines(3, 5, MEMORY)}) == 8


def test_kvm_without_hardware_virtualisation_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path: "flags\t\t: fpu vme sse2\n")
    monkeypatch.setattr(
        "provision.lab.machines.qemu.os.open", lambda *_arguments: pytest.fail("asked /dev/kvm")
    )

    assert not kvm_works()


@pytest.mark.parametrize(
    ("system", "name"), [("debian-13", "qemu"), ("debian-13", "uml"), ("rocky-9", "uml")]
)
def test_qemu_is_chosen_only_where_kvm_works_and_machines_run_debian(
    system: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = name == "qemu" or system == "rocky-9"
    monkeypatch.setattr(backends, "kvm_works", lambda: works)

    assert backends.choose_backend(choose_offer((), (), systems=(system,))).name == name


def test_only_machines_of_the_rhel_family_boot_with_selinux() -> None:
    debian, rocky = (
        UserModeLinux().command(Machine("w1", "worker", "192.168.77.21", 2048, system), PLACE, BASE)
        for system in ("debian-13", "rocky-9")
    )

    assert {"security=selinux", "selinux=1"} <= set(rocky)
    assert set(debian) - set(rocky) == {"audit=0"}


def test_an_unknown_back_end_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match="no back end vbox") as caught:
        backends.backend_named("vbox")

    assert caught.value.fix == "--backend uml or qemu"


def test_guest_memory_goes_only_where_it_fits() -> None:
    with pytest.raises(LabError, match="no room for"):
        memory_directory(1 << 40)


def test_the_seed_disk_carries_name_address_and_keys(made: tuple[LabDirectory, Lab]) -> None:
    directory, demo = made
    with tarfile.open(directory.machine("cp1") / "seed.tar") as seed:
        modes = {entry.name: entry.mode for entry in seed}
        network = seed.extractfile("etc/systemd/network/10-lab.network")
        assert network is not None
        text = network.read().decode()

    assert modes["etc/ssh/ssh_host_ed25519_key"] == 0o600
    assert set(modes) >= {"etc/hostname", "etc/hosts", "etc/ssh/authorized_keys.d/lab"}
    assert "Address=192.168.77.11/24\nGateway=192.168.77.1\n" in text
    assert read_host_key(directory, demo.machine("cp1")) != read_host_key(directory, demo.machine("w1"))


def test_keys_are_made_once_and_are_private(made: tuple[LabDirectory, Lab]) -> None:
    directory, demo = made
    before = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}

    ensure_identity(directory, demo)

    assert {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()} == before
    for path in (directory.key, directory.machine("cp1") / "host_ed25519", directory.ssh_config):
        assert path.stat().st_mode & 0o077 == 0
    assert directory.path.stat().st_mode & 0o077 == 0


def test_a_key_of_which_only_half_was_made_is_made_again(made: tuple[LabDirectory, Lab]) -> None:
    directory, demo = made
    directory.key.unlink()
    directory.key.with_name("id_ed25519.new").write_text("half")

    ensure_identity(directory, demo)

    listed = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(directory.key)], capture_output=True, text=True, check=True
    )
    public = directory.key.with_suffix(".pub").read_text()
    assert public.startswith(" ".join(listed.stdout.split()[:2]))


def test_ssh_accepts_nothing_but_the_pinned_key(made: tuple[LabDirectory, Lab]) -> None:
    directory, _ = made

    shown = subprocess.run(
        ["ssh", "-G", "-F", str(directory.ssh_config), "w1"], capture_output=True, text=True, check=True
    ).stdout

    assert "stricthostkeychecking true" in shown
    assert "hostname 192.168.77.21" in shown
    assert f"identityfile {directory.key}" in shown
    known = directory.known_hosts.read_text()
    assert known.startswith("cp1,192.168.77.11 ssh-ed25519 ")


def test_the_cluster_file_is_as_reviewed(
    made: tuple[LabDirectory, Lab], golden: Callable[[str, str], None]
) -> None:
    golden("lab/cluster.yaml", golden_text(*made))


def test_the_cluster_file_is_one_that_the_product_accepts(made: tuple[LabDirectory, Lab]) -> None:
    directory, demo = made
    path = directory.cluster_file

    loaded = load_text(render_cluster_file(directory, demo, "A" * 40, None), path)
    cluster = kubeadm_only(loaded, "a lab").cluster

    assert [(host.name, host.host_key) for host in cluster.hosts] == [
        (machine.name, read_host_key(directory, machine)) for machine in demo.machines
    ]


@pytest.mark.parametrize(
    ("offer", "lines"),
    [
        (choose_offer(("1.37", "1.36"), ()), ('kubernetes: "1.37.2"\n', "runtime: containerd\n")),
        (choose_offer((), ("crio",)), ("runtime: crio\n", 'runtime_version: "1.36.3"\n')),
        (
            choose_offer((), ("docker",)),
            ("runtime: docker\n", 'runtime_version: "26.1.5"\n', 'version: "3.31.0"\n'),
        ),
    ],
)
def test_the_cluster_file_says_what_the_mirror_offers_first(
    offer: Offer, lines: tuple[str, ...], made: tuple[LabDirectory, Lab]
) -> None:
    directory, demo = made

    text = render_cluster_file(directory, dataclasses.replace(demo, offer=offer), "A" * 40, None)

    assert all(line in text for line in lines)


@pytest.mark.parametrize("minor", lab_versions().kubernetes.minors)
def test_the_cluster_file_of_every_minor_loads(minor: str, made: tuple[LabDirectory, Lab]) -> None:
    directory, demo = made
    offered = dataclasses.replace(demo, offer=choose_offer((minor,), ()))

    loaded = load_text(render_cluster_file(directory, offered, "A" * 40, None), Path("cluster.yaml"))

    assert kubeadm_only(loaded, "a lab").cluster.runtime_version in lab_versions().containerd


def test_the_cluster_file_has_the_digests_of_what_the_mirror_has_built(
    made: tuple[LabDirectory, Lab],
) -> None:
    directory, demo = made
    offered = dataclasses.replace(demo, offer=choose_offer((), ("docker",)))
    digests = {"cri-dockerd-0.4.0.amd64.tgz": "a" * 64}

    text = render_cluster_file(directory, offered, "A" * 40, None, digests)

    cluster = kubeadm_only(load_text(text, Path("cluster.yaml")), "a lab").cluster
    assert cluster.mirror.digests == digests
    assert (cluster.runtime, cluster.runtime_version) == ("docker", lab_versions().docker.engine)


def test_several_control_planes_get_an_endpoint(made: tuple[LabDirectory, Lab]) -> None:
    directory, _ = made
    three = Lab("demo", "uml", {}, design_machines(3, 0, MEMORY))
    ensure_identity(directory, three)

    text = render_cluster_file(directory, three, "A" * 40, "192.168.77.1:6443")

    assert load_text(text, directory.cluster_file).cluster.endpoint == "192.168.77.1:6443"


def test_a_cluster_file_that_was_edited_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("# mine\nkey-a key-b")

    write_cluster_file(path, "new", ("key-a", "key-b"))

    assert path.read_text() == "# mine\nkey-a key-b"


def test_a_cluster_file_of_other_machines_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "cluster.yaml"
    path.parent.mkdir()
    path.write_text("key-a")

    write_cluster_file(path, "new", ("key-a", "key-b"))

    assert path.read_text() == "new"
    assert path.with_name("cluster.yaml.old").read_text() == "key-a"


def test_too_little_memory_is_reported_before_anything_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    monkeypatch.setattr(lab, "available_memory", lambda: 4096)
    monkeypatch.setattr(lab, "require_root", lambda: None)

    with pytest.raises(LabError, match="2 machines need 5120 MiB of memory, 4096 MiB are free"):
        lab.up(LabRequest(name="scarce"), lambda _line: None)

    assert not lab_directory("scarce").path.exists()


def test_without_root_the_fix_is_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.lab.lab.os.geteuid", lambda: 1000)

    with pytest.raises(LabError, match="needs root") as caught:
        lab.up(LabRequest(), lambda _line: None)

    assert caught.value.fix == "run the command with sudo"


def test_a_path_that_a_kernels_command_line_cannot_carry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "my labs"))
    monkeypatch.setattr(lab, "require_root", lambda: None)

    with pytest.raises(LabError, match="has a space") as caught:
        lab.up(LabRequest(), lambda _line: None)

    assert "PROVISION_STATE" in caught.value.fix
