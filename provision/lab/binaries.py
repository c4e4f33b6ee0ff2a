"""Programs of the lab's packages and images, built from Go modules pinned in `lab/go/`.

Each group is a directory with go.mod, go.sum and tools.go (no third-party sources); the result is cached by the hash
of these, the flags and Go's version. Several versions of one thing are several groups: `kubernetes-1.36` and
`kubernetes-1.37` are of the family `kubernetes`.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.toolchain import find_go, require_packages
from provision.lab.versions import lab_versions
from provision.mirror.tools import run
from provision.model.units import minor_of
from provision.paths import content_root

if TYPE_CHECKING:
    from collections.abc import Mapping

_K8S = "k8s.io/kubernetes"
_CNI = "github.com/containernetworking/plugins/plugins"
_CALICO = "github.com/projectcalico/calico"
# Modules come from the Go module proxy only, never from a version control system.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
_FLAGS = ("-trimpath", "-buildvcs=false")
_CC = ("gcc", "-std=c99", "-O2", "-static", "-s")
_C_PACKAGES = ("gcc", "libc6-dev", "libseccomp-dev")  # Debian packages of this computer, for groups with cgo


@dataclass(frozen=True, slots=True)
class Group:
    """Programs built together: executable name -> package, values set by the linker, files copied from the module.

    With `cgo`, the build tags of a module that needs C, everything is linked statically, for any Debian;
    `c_programs` are executables of C sources: name -> directory in the module.
    """

    module: str
    programs: Mapping[str, str]
    linked: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    cgo: tuple[str, ...] = ()
    c_programs: Mapping[str, str] = field(default_factory=dict)

    def recipe(self) -> str:
        """Return what of it decides the result, for the cache key."""
        parts: list[object] = [dict(self.programs), dict(self.linked), self.files, _FLAGS, _ENVIRONMENT]
        return json.dumps([*parts, self.cgo, dict(self.c_programs), _CC] if self.cgo else parts)

    def environment(self) -> dict[str, str]:
        """Return the variables of its `go build`."""
        return {**_ENVIRONMENT, "CGO_ENABLED": "1"} if self.cgo else _ENVIRONMENT

    def flags(self) -> tuple[str, ...]:
        """Return the arguments of its `go build`, without output and packages."""
        linked = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.linked.items())]
        if not self.cgo:
            return (*_FLAGS, "-ldflags", " ".join(linked))
        static = ["-linkmode", "external", "-extldflags=-static"]
        return (*_FLAGS, "-tags", " ".join(self.cgo), "-ldflags", " ".join([*linked, *static]))


def _groups() -> dict[str, Group]:
    """Return every group by the name of its directory."""
    offered = lab_versions()
    minors = offered.kubernetes.minors
    return {
        **{f"kubernetes-{minor}": _kubernetes(one.version) for minor, one in minors.items()},
        "calico": Group(
            _CALICO,
            {
                "calico": f"{_CALICO}/cni-plugin/cmd/calico",
                "install": f"{_CALICO}/cni-plugin/cmd/install",
                "kube-controllers": f"{_CALICO}/kube-controllers/cmd/kube-controllers",
                "check-status": f"{_CALICO}/kube-controllers/cmd/check-status",
                "calico-node": f"{_CALICO}/node/cmd/calico-node",
            },
            {f"{_CALICO}/pkg/buildinfo.Version": f"v{offered.calico}"},
            ("manifests/calico.yaml", "manifests/calico-vxlan.yaml", "node/filesystem"),
        ),
        **{f"etcd-{version}": _etcd() for version in sorted({one.etcd for one in minors.values()})},
        **{f"containerd-{minor_of(version)}": _containerd(version) for version in offered.containerd},
        **{f"crio-{minor}": _crio() for minor, one in minors.items() if one.crio},
        "cri-dockerd": _cri_dockerd(offered.docker.cri_dockerd),
        "cri-tools": Group("sigs.k8s.io/cri-tools", {"crictl": "sigs.k8s.io/cri-tools/cmd/crictl"}),
        "cni-plugins": Group(
            "github.com/containernetworking/plugins",
            {path.rpartition("/")[2]: f"{_CNI}/{path}" for path in _CNI_PLUGINS},
        ),
        "coredns": Group("github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"}),
        "pause": Group("provision.lab/pause", {"pause": "."}),
    }


def _kubernetes(version: str) -> Group:
    programs = {name: f"{_K8S}/cmd/{name}" for name in _KUBERNETES_PROGRAMS}
    return Group(_K8S, {**programs, "agnhost": f"{_K8S}/test/images/agnhost"}, _kubernetes_version(version))


def _etcd() -> Group:
    etcd = "go.etcd.io/etcd"
    programs = {"etcd": "server", "etcdctl": "etcdctl", "etcdutl": "etcdutl"}
    return Group(f"{etcd}/server/v3", {name: f"{etcd}/{path}/v3" for name, path in programs.items()})


def _containerd(version: str) -> Group:
    containerd = "github.com/containerd/containerd/v2"
    programs = {name: f"{containerd}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    return Group(containerd, programs, {f"{containerd}/version.Version": version})


def _crio() -> Group:
    crio = "github.com/cri-o/cri-o"
    return Group(crio, {"crio": f"{crio}/cmd/crio"}, cgo=_CRIO_TAGS, c_programs={"pinns": "pinns/src"})


def _cri_dockerd(version: str) -> Group:
    server = "github.com/Mirantis/cri-dockerd"
    return Group(server, {"cri-dockerd": server}, {f"{server}/cmd/version.Version": version})


_CRIO_TAGS = (
    "containers_image_openpgp", "exclude_graphdriver_btrfs", "btrfs_noversion", "seccomp",
    "netgo", "osusergo",  # as a static program needs
)  # fmt: skip
_KUBERNETES_PROGRAMS = (
    "kubeadm", "kubelet", "kubectl",
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy",
)  # fmt: skip
_CNI_PLUGINS = (
    "main/bridge", "main/host-device", "main/ipvlan", "main/loopback", "main/macvlan", "main/ptp", "main/vlan",
    "ipam/dhcp", "ipam/host-local", "ipam/static",
    "meta/bandwidth", "meta/firewall", "meta/portmap", "meta/sbr", "meta/tuning", "meta/vrf",
)  # fmt: skip


def group_names() -> tuple[str, ...]:
    """Return every group; one for each version where there are several."""
    return tuple(_groups())


def groups_for(minor: str) -> dict[str, str]:
    """Return family -> group of what images are made of for that minor; most groups are a family of their own."""
    etcd = lab_versions().kubernetes.minors[minor].etcd
    single = {group: group for group in group_names() if group == _family(group)}
    return {**single, "kubernetes": f"kubernetes-{minor}", "etcd": f"etcd-{etcd}"}


def _family(group: str) -> str:
    """`kubernetes-1.36` -> `kubernetes`, `cri-tools` as it is."""
    return re.sub(r"-[0-9.]+$", "", group)


def build_binaries(group: str, progress: Progress) -> Path:
    """Return the directory with the group's executables and copied files, built if not in the cache.

    Raises ToolError with the last lines of output if Go cannot be installed or a build fails, and KeyError for a group
    that is not in `group_names()`.
    """
    wanted = _groups()[group]
    if wanted.cgo:
        require_packages(_C_PACKAGES, progress)
    compiler = find_go(progress)
    source = _source(group)
    key = compute_key(source, wanted.recipe(), run([str(compiler), "env", "GOVERSION", "GOARCH"]))

    def build(into: Path) -> None:
        _build(wanted, compiler, source, into)

    return get_or_build(
        "binaries",
        f"{_family(group)}-{key}",
        build,
        title=f"{group} ({len(wanted.programs)} programs)",
        progress=progress,
    )


def module_version(group: str) -> str:
    """Return the version of the group's module that its go.mod pins, for example `v1.36.3`."""
    module = _groups()[group].module
    match = re.search(
        rf"^(?:require |\t){re.escape(module)} (\S+)", (_source(group) / "go.mod").read_text(), re.MULTILINE
    )
    if match is None:
        raise LabError(f"lab/go/{group}/go.mod does not require {module}")
    return match[1]


def _source(group: str) -> Path:
    return content_root() / "lab" / "go" / group


def _build(group: Group, compiler: Path, source: Path, into: Path) -> None:
    """Run one `go build` for all programs named like their package, and one for each other program."""
    scratch = into / ".scratch"
    scratch.mkdir()
    command = [str(compiler), "build", *group.flags(), "-o"]
    plain = [path for name, path in group.programs.items() if path.rpartition("/")[2] == name]
    if plain:
        run([*command, f"{scratch}/", *plain], cwd=source, environment=group.environment())
    for name, path in group.programs.items():
        if path not in plain:
            run([*command, str(scratch / name), path], cwd=source, environment=group.environment())
        (scratch / name).rename(into / name)
    scratch.rmdir()
    if group.files or group.c_programs:
        listed = [str(compiler), "list", "-m", "-f", "{{.Dir}}", group.module]
        module = Path(run(listed, cwd=source, environment=_ENVIRONMENT).strip())
        for name, directory in group.c_programs.items():
            sources = sorted(str(path) for path in (module / directory).glob("*.c"))
            run([*_CC, "-o", str(into / name), *sources])
        _copy_files(module, group.files, into)


def _copy_files(module: Path, files: tuple[str, ...], into: Path) -> None:
    """Copy files or directories of the read-only module under the same names and make them writable."""
    for name in files:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (module / name).is_dir():
            shutil.copytree(module / name, target, symlinks=True)
        else:
            shutil.copyfile(module / name, target)
    for path in into.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def _kubernetes_version(version: str) -> dict[str, str]:
    """Return the linker values that Kubernetes' own build sets; without them kubeadm reports version 0.0.0."""
    major, minor, _ = version.split(".")
    values = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}
