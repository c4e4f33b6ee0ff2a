"""The eksctl on PATH: which version it is, and whether that is enough."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from provision.errors import CheckError

# The first release that asks EKS which versions of Kubernetes there are, instead of knowing those of its own day
# (eksctl-io/eksctl#8144). Everything that cluster_config writes is older.
OLDEST = (0, 202, 0)
_INSTALL = "install eksctl {} or newer (https://eksctl.io/installation), or write `backend: boto3`".format(
    ".".join(map(str, OLDEST))
)
_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Eksctl:
    """A program that may be used."""

    path: str
    version: str  # "0.215.0"


def find() -> Eksctl:
    """The eksctl on PATH. Raises CheckError if there is none, if it does not say its version, or if it is too old."""
    path = shutil.which("eksctl")
    if path is None:
        raise CheckError("there is no eksctl on PATH, which `backend: eksctl` uses", fix=_INSTALL)
    try:
        done = subprocess.run([path, "version"], capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise CheckError(f"{path} does not say its version: {error}", fix=_INSTALL) from error
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        said = done.stdout.strip()[:80] or "nothing"
        raise CheckError(f"{path} does not say its version, but {said!r}", fix=_INSTALL)
    if tuple(map(int, found.groups())) < OLDEST:
        raise CheckError(f"{path} is {found[0]}, which is too old", fix=_INSTALL)
    return Eksctl(path, found[0])
