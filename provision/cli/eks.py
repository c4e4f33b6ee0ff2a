"""`provision eks`: what a cluster in an AWS account needs besides its file."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from provision.errors import FileError

app = typer.Typer(no_args_is_help=True, help="What a cluster in an AWS account needs besides its file.")


class Partition(StrEnum):
    AWS = "aws"
    CHINA = "aws-cn"
    GOVCLOUD = "aws-us-gov"


@app.callback()
def _group() -> None:
    """What a cluster in an AWS account needs besides its file."""


@app.command()
def token(
    cluster: Annotated[str, typer.Option("--cluster", help="Name of the EKS cluster.")],
    region: Annotated[str, typer.Option("--region", help="Its AWS region.")],
    profile: Annotated[
        str | None, typer.Option("--profile", help="Profile of ~/.aws/config, if not AWS_PROFILE.")
    ] = None,
) -> None:
    """Print a short-lived token as kubectl wants it (ExecCredential). The kubeconfig calls this.

    Example: provision eks token --cluster demo --region eu-central-1
    """
    from provision.providers.eks.aws.token import exec_credential

    print(json.dumps(exec_credential(cluster, region, profile)))


@app.command()
def policy(
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Narrow it to the cluster of this file.", dir_okay=False),
    ] = None,
    partition: Annotated[
        Partition, typer.Option("--partition", help="Where the account is: China and GovCloud are apart.")
    ] = Partition.AWS,
) -> None:
    """Print the IAM policy that provision needs, for whoever runs it.

    Example: provision eks policy -f cluster.yaml > policy.json
    """
    from provision.config import load
    from provision.model.eks import EksCluster
    from provision.providers.eks.iam.policy import policy

    cluster = load(file).cluster if file else None
    if cluster is not None and not isinstance(cluster, EksCluster):
        raise FileError(f"{file} is of provider kubeadm", fix="name a file of provider eks")
    print(json.dumps(policy(cluster, partition.value), indent=2))
