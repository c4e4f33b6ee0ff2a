"""Shell assignments for raw.sh, read from a lab's cluster file; pinned host keys go into a known_hosts file."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from provision.config import kubeadm_only, load
from provision.model.units import minor_of
from provision.versions import versions


def main(file: str, known_hosts: str) -> None:
    cluster = kubeadm_only(load(Path(file)), "raw").cluster
    Path(known_hosts).write_text("".join(f"{host.address} {host.host_key}\n" for host in cluster.hosts))
    values = {
        "user": cluster.ssh.user or "root",
        "key": str(Path(cluster.ssh.key or "").expanduser()),
        "packages": cluster.mirror.packages or "",
        "images": cluster.mirror.images or "",
        "manifests": cluster.mirror.manifests or "",
        "version": cluster.kubernetes,
        "minor": f"v{minor_of(cluster.kubernetes)}",
        "calico": versions().calico.version,
        "cp": cluster.control_planes[0].address,
        "workers": " ".join(host.address for host in cluster.workers),
    }
    for name, value in values.items():
        print(f"{name}={shlex.quote(value)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
