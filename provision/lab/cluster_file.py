"""The cluster file of a lab, with every host key pinned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provision.lab.identity import USER, read_host_key
from provision.lab.state import GATEWAY, Lab, LabDirectory
from provision.lab.versions import lab_versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_IGNORED = """\
  ignore_preflight_errors:
    - SystemVerification  # the lab's kernel has no cpuset controller
    - NumCPU              # its machines have one processor
    - Mem                 # and may have less memory than kubeadm recommends
"""


def render_cluster_file(
    directory: LabDirectory,
    lab: Lab,
    packages_key: str,
    endpoint: str | None,
    digests: Mapping[str, str] | None = None,
) -> str:
    """Return the file's text.

    `packages_key` is the fingerprint of the mirror's signing key, `endpoint` host:port or None, `digests` the sha256 of
    release archives that the mirror has built, by file name.
    """
    hosts = "".join(
        f"  - name: {machine.name}\n    address: {machine.address}\n    role: {machine.role}\n"
        f"    host_key: {read_host_key(directory, machine)}\n"
        for machine in lab.machines
    )
    front = f"endpoint: {endpoint}\n" if endpoint else ""
    offered = lab_versions()
    kubernetes = offered.kubernetes.minors[lab.offer.minors[0]].version
    runtime, version = lab.offer.runtime()
    return (
        f"# The machines of lab {lab.name}, written by `provision lab up`. Yours to edit.\n"
        "# Commands reach them from inside the lab's network only:\n"
        f"#   provision lab run --name {lab.name} -- provision apply -f THIS-FILE\n"
        f"name: {lab.name}\nprovider: kubeadm\n"
        f'kubernetes: "{kubernetes}"\nruntime: {runtime}\nruntime_version: "{version}"\n'
        f'network:\n  plugin: calico\n  version: "{offered.calico}"\n'
        f"  pod_cidr: 10.244.0.0/16\n  service_cidr: 10.96.0.0/12\n"
        f"  encapsulation: vxlan\n{front}"
        f"ssh:\n  user: {USER}\n  key: {directory.key}\n"
        f"hosts:\n{hosts}"
        f"kubeadm:\n{_IGNORED}"
        f"mirror:\n  packages: http://{GATEWAY}:8080\n  packages_key: {packages_key}\n"
        f"  images: http://{GATEWAY}:5000\n  manifests: http://{GATEWAY}:8080\n"
        + ("  digests:\n" if digests else "")
        + "".join(f"    {name}: {digest}\n" for name, digest in (digests or {}).items())
    )


def write_cluster_file(path: Path, text: str, keys: tuple[str, ...]) -> str:
    """Write the file, unless it exists and pins the same machines: edits are kept.

    `keys` are the machines' host keys. A file that lacks one of them is kept beside the new one as `<name>.old`.
    Returns a line that says what was done.
    """
    if path.exists():
        present = path.read_text()
        if all(key in present for key in keys):
            return f"{path} is unchanged"
        path.replace(path.with_name(f"{path.name}.old"))
        outcome = f"{path} was replaced, the previous file is kept as {path.name}.old"
    else:
        outcome = f"{path} was written"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
    return outcome
