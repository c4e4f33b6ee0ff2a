"""`provision init` and `provision schema`: the cluster file itself."""

from __future__ import annotations

import sys

import typer

from provision.cli.options import (
    DEFAULT_FILE,
    BastionOption,
    ControlPlaneOption,
    EksKubernetesOption,
    EndpointOption,
    FileOption,
    InstanceTypeOption,
    KubernetesOption,
    NameOption,
    NodesOption,
    RegionOption,
    SshKeyOption,
    WorkerOption,
    ZoneOption,
)

init = typer.Typer(help="Write a commented cluster file.", no_args_is_help=True)


@init.callback()
def _group() -> None:
    """Write a commented cluster file."""


@init.command()
def kubeadm(
    control_plane: ControlPlaneOption = None,
    worker: WorkerOption = None,
    name: NameOption = "demo",
    kubernetes: KubernetesOption = None,
    endpoint: EndpointOption = None,
    ssh_key: SshKeyOption = None,
    bastion: BastionOption = None,
    file: FileOption = DEFAULT_FILE,
) -> None:
    """Write a commented cluster file for hosts that you have.

    Example: provision init kubeadm --control-plane ubuntu@10.0.0.11 --worker ubuntu@10.0.0.21
    """
    from provision.config.scaffold import write_new
    from provision.config.scaffold.kubeadm import cluster_from_arguments, cluster_text

    cluster = cluster_from_arguments(
        name=name,
        control_planes=control_plane or (),
        workers=worker or (),
        kubernetes=kubernetes,
        endpoint=endpoint,
        ssh_key=ssh_key,
        bastion=bastion,
    )
    write_new(file, cluster_text(cluster))
    print(f"{file} is written; look at it, then: provision check -f {file}", file=sys.stderr)


@init.command()
def eks(
    region: RegionOption = None,
    name: NameOption = "demo",
    kubernetes: EksKubernetesOption = None,
    nodes: NodesOption = 2,
    instance_type: InstanceTypeOption = None,
    zone: ZoneOption = None,
    file: FileOption = DEFAULT_FILE,
) -> None:
    """Write a commented cluster file for an EKS cluster in your AWS account.

    Example: provision init eks --region eu-central-1 --nodes 3
    """
    from provision.config.scaffold.eks import eks_cluster_from_arguments, write_eks_file

    cluster = eks_cluster_from_arguments(
        name=name,
        region=region,
        nodes=nodes,
        instance_types=instance_type or (),
        zones=zone or (),
        kubernetes=kubernetes,
    )
    write_eks_file(file, cluster)
    print(f"{file} is written; look at it, then: provision check -f {file}", file=sys.stderr)


def schema() -> None:
    """Print the JSON Schema of the cluster file, for editors.

    Example: provision schema > cluster.schema.json
    """
    import json

    from provision.config import schema as cluster_schema

    print(json.dumps(cluster_schema(), indent=2))
