"""One program out of a release archive whose digest is known."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_download import ARCHITECTURES, fetched
from ansible.module_utils.provision_host import Changes, HostError, atomic_write
from ansible.module_utils.provision_module import run_module

DOCUMENTATION = r"""
module: release_archive
short_description: Install a program from a release archive
description:
  - Downloads a tar archive, refuses it if its digest differs, and puts one member of it to a path. Nothing is
    downloaded if the path is there, so it should name the version.
options:
  url: {description: "URL of the archive; C({architecture}) stands for amd64 or arm64", type: str, required: true}
  digests: {description: The sha256 of the archive for each architecture, type: dict, required: true}
  member: {description: Name of the program in the archive, type: str, required: true}
  path: {description: Where the program belongs, type: str, required: true}
author: provision
"""

_LARGEST = 1 << 29  # bytes of an archive or a program; cri-dockerd's is 15 MB
_CHUNK = 1 << 20


def provide(wanted: dict[str, Any], changes: Changes, *, root: Path = Path("/"), machine: str = "") -> None:
    path = root / wanted["path"].lstrip("/")
    if path.is_file():
        return
    machine = machine or os.uname().machine
    architecture = ARCHITECTURES.get(machine, "")
    digest = wanted["digests"].get(architecture)
    url = wanted["url"].replace("{architecture}", architecture)
    if not digest:
        raise HostError(f"the digest of {url.rpartition('/')[2]} is not known for the architecture {machine}")
    changes.make(f"installed {path} from {url}", lambda: _install(url, digest, wanted["member"], path))


def _install(url: str, digest: str, member: str, path: Path) -> None:
    with tempfile.TemporaryFile() as archive:
        found = _download(url, archive)
        if found != digest:
            raise HostError(
                f"{url} has the digest sha256:{found}, but sha256:{digest} is expected: is this the right mirror? One "
                "that builds the archive itself has its digest in mirror.digests of the cluster file"
            )
        archive.seek(0)
        atomic_write(path, _member(archive, member, url), mode=0o755)


def _download(url: str, archive: Any) -> str:
    """Write what is at `url` to a file, and return its digest."""

    def read(answer: Any) -> str:
        archive.seek(0)
        archive.truncate()
        digest = hashlib.sha256()
        while chunk := answer.read(_CHUNK):
            archive.write(chunk)
            digest.update(chunk)
            if archive.tell() > _LARGEST:
                raise HostError(f"{url} is larger than {_LARGEST >> 20} MiB")
        return digest.hexdigest()

    found: str = fetched(url, "", read, timeout=60)
    return found


def _member(archive: Any, member: str, url: str) -> bytes:
    try:
        with tarfile.open(fileobj=archive) as contents:
            found = contents.getmember(member)
            if not found.isfile() or found.size > _LARGEST:
                raise HostError(f"{member} in {url} is no program")
            file = contents.extractfile(found)
            return file.read() if file else b""
    except (KeyError, tarfile.TarError) as error:
        raise HostError(f"{url} holds no {member}: {error}") from error


if __name__ == "__main__":
    run_module(
        {
            "url": {"type": "str", "required": True},
            "digests": {"type": "dict", "required": True},
            "member": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
        },
        provide,
    )
