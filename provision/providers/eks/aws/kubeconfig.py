"""The kubeconfig of an EKS cluster. It holds no secret: kubectl runs this program for a token."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from provision.paths import content_root

if TYPE_CHECKING:
    from provision.model.eks import EksCluster


def kubeconfig_text(cluster: EksCluster, endpoint: str, authority: str, *, context: str | None = None) -> str:
    """Return a kubeconfig whose cluster and context are named `context` (default: the cluster's name).

    `endpoint` is the API server's URL, `authority` its CA certificate (PEM in base64).
    """
    name = context or cluster.name
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-iam"}}],
            "users": [{"name": f"{name}-iam", "user": {"exec": _exec(cluster)}}],
            "current-context": name,
        },
        sort_keys=False,
        allow_unicode=True,
    )


def _exec(cluster: EksCluster) -> dict[str, Any]:
    command, *first = own_command()
    arguments = [*first, "eks", "token", "--cluster", cluster.name, "--region", cluster.region]
    if cluster.profile:  # an option, since keys in the environment would win over AWS_PROFILE
        arguments += ["--profile", cluster.profile]
    environment = [{"name": name, "value": value} for name, value in _environment(cluster).items()]
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": arguments,
        "interactiveMode": "Never",
        "installHint": "this kubeconfig was written by provision, which has moved since; "
        "write it again: provision kubeconfig",
        **({"env": environment} if environment else {}),
    }


def own_command() -> tuple[str, ...]:
    """Arguments that start this program from any directory: its own path, or this Python with `-m provision`."""
    program = Path(sys.argv[0])
    if program.name == "provision" and program.is_file() and os.access(program, os.X_OK):
        return (str(program.absolute()),)  # not resolved: a link such as pipx makes outlives its target
    return (sys.executable, "-m", "provision")


def _environment(cluster: EksCluster) -> dict[str, str]:
    """Variables that the token needs and that may be missing in the environment of kubectl."""
    kept = {}
    if not cluster.profile and os.environ.get("AWS_PROFILE"):
        kept["AWS_PROFILE"] = os.environ["AWS_PROFILE"]
    if len(own_command()) > 1 and not _is_installed():
        kept["PYTHONPATH"] = str(content_root())
    return kept


def _is_installed() -> bool:
    """False in a checkout that is run with `python -m provision` without being installed."""
    try:
        metadata.distribution("provision")
    except metadata.PackageNotFoundError:
        return False
    return True
