"""`provision eks`: what a cluster in an AWS account needs besides its file."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="What a cluster in an AWS account needs besides its file.")


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
    from provision.eks.token import exec_credential

    print(json.dumps(exec_credential(cluster, region, profile)))
