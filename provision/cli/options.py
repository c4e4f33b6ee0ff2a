"""Options that every command shares, so that they are called and explained the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


DEFAULT_FILE = Path("cluster.yaml")

FileOption = Annotated[Path, typer.Option("--file", "-f", help="The cluster file.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people or for machines.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tell every task, and the trace of an unexpected error.")
]
ControlPlaneOption = Annotated[
    list[str] | None,
    typer.Option("--control-plane", help="A control plane: [user@]host[:port][=name]. Repeatable."),
]
WorkerOption = Annotated[
    list[str] | None, typer.Option("--worker", help="A worker: [user@]host[:port][=name]. Repeatable.")
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        help="host:port that clients use, vip:ADDRESS or local; needed with several control planes."
    ),
]
KubernetesOption = Annotated[str | None, typer.Option(help="Version, for example 1.36.6.")]
SshKeyOption = Annotated[str | None, typer.Option(help="Private key file.")]
BastionOption = Annotated[str | None, typer.Option(help="Jump host: [user@]host[:port].")]
LivePricesOption = Annotated[
    bool, typer.Option("--live-prices", help="EKS: estimate the costs with AWS's prices of today.")
]
NameOption = Annotated[str, typer.Option(help="Name of the cluster.")]
EksKubernetesOption = Annotated[str | None, typer.Option(help="Minor version, for example 1.35.")]
RegionOption = Annotated[
    str | None,
    typer.Option(envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="AWS region.", show_default=False),
]
NodesOption = Annotated[int, typer.Option(help="Number of nodes.")]
InstanceTypeOption = Annotated[
    list[str] | None,
    typer.Option("--instance-type", help="Type of the nodes, m7i.large if none. Repeatable."),
]
ZoneOption = Annotated[
    list[str] | None,
    typer.Option(
        "--zone", help="Availability zone, two or three; chosen by what they offer if none. Repeatable."
    ),
]
