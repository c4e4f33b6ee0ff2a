"""`provision reset`: a cluster, or hosts of it, back to what they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.cli.options import DEFAULT_FILE, FileOption, Output, OutputOption, VerboseOption, YesOption
from provision.errors import FileError

if TYPE_CHECKING:
    from provision.engine.operation import Goal


def reset(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="Hosts; all if none.")
    ] = None,
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="EKS: delete the volumes of claims, too.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Leave hosts that cannot be reached; end pods that nothing makes anew."),
    ] = False,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Destroy the cluster, or reset hosts: as they were before us. Asks for the cluster's name unless --yes.

    Example: provision reset w3
    """
    goal, name = _goal(file, tuple(dict.fromkeys(hosts or ())), force=force, delete_volumes=delete_volumes)
    from provision.engine.run import Manner, reach

    reach(goal, Manner(yes=yes, verbose=verbose, json=output is Output.JSON, phrase=name))


def _goal(file: Path, hosts: tuple[str, ...], *, force: bool, delete_volumes: bool) -> tuple[Goal[Any], str]:
    """What the file's provider makes of it, and the name that has to be typed."""
    from provision.config import eks_only, kubeadm_only, load

    anything = load(file)
    if anything.cluster.provider == "eks":
        from provision.providers.eks.aws.account import account_of
        from provision.providers.eks.operations import EksResetGoal

        if hosts:
            raise FileError(
                "an EKS cluster has no hosts of its own to reset",
                fix="change its node groups in the file and apply, or reset all of it",
            )
        asked = eks_only(anything, "provision reset")
        goal = EksResetGoal(asked, account_of(asked.cluster), delete_volumes=delete_volumes)
        return goal, goal.cluster
    loaded = kubeadm_only(anything, "provision reset")
    known = [host.name for host in loaded.cluster.hosts]
    for host in hosts:
        if host not in known:
            raise FileError(f"{file} has no host {host}", fix=f"its hosts are {', '.join(known)}")
    from provision.providers.kubeadm.operations.reset import ResetGoal

    return ResetGoal(loaded, hosts, force), loaded.cluster.name
