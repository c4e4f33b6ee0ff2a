"""`provision check`, `plan`, `apply`, `status`: one loop with four ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from provision.cli.options import (
    DEFAULT_FILE,
    BastionOption,
    ControlPlaneOption,
    EndpointOption,
    FileOption,
    KubernetesOption,
    LivePricesOption,
    NameOption,
    NodesOption,
    Output,
    OutputOption,
    RegionOption,
    SshKeyOption,
    VerboseOption,
    WorkerOption,
    YesOption,
)
from provision.cli.providers import goal_of
from provision.errors import CheckError, FileError, UnreachableError

if TYPE_CHECKING:
    from provision.engine.events import Emit

_PENDING = 2


def check(
    live_prices: LivePricesOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Tell every problem of the file and of the hosts or the account, and what a new one costs; change nothing.

    Example: provision check && provision apply
    """
    from provision.model.units import counted
    from provision.report.json_lines import document
    from provision.report.text import findings_text

    notice = ""
    try:
        goal = goal_of(file, live_prices=live_prices)
        seen = goal.look(_looking(verbose=verbose))
        findings = goal.check(seen)
        notice = goal.notice(seen, ())
        errors = sum(finding.severity == "error" for finding in findings)
        code, subject = (CheckError.exit_code if errors else 0), goal.subject
    except (FileError, UnreachableError) as error:
        findings, code, subject = error.findings, error.exit_code, "no host"
        if not findings:
            raise
    if output is Output.JSON:
        print(document({"file": str(file), "findings": findings}), end="")
    else:
        print(findings_text(findings) + notice, end="")
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    print(f"{file}: {subject} looked at, {told}; nothing was changed", file=sys.stderr)
    raise typer.Exit(code)


def plan(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show the steps that apply would run, and why; exit code 2 when there are any.

    Example: provision plan -o json
    """
    goal = goal_of(file)
    from provision.engine.run import look_and_check
    from provision.report.json_lines import document
    from provision.report.text import findings_text, plan_text

    seen, findings = look_and_check(goal, _looking(verbose=verbose))
    print(findings_text(findings), end="", file=sys.stderr)
    steps = goal.plan(seen)
    if output is Output.JSON:
        print(document({"cluster": goal.cluster, "steps": steps}), end="")
    else:
        print(plan_text(goal.cluster, steps), end="")
    if steps:
        raise typer.Exit(_PENDING)


def apply(
    control_plane: ControlPlaneOption = None,
    worker: WorkerOption = None,
    name: NameOption = "demo",
    kubernetes: KubernetesOption = None,
    endpoint: EndpointOption = None,
    ssh_key: SshKeyOption = None,
    bastion: BastionOption = None,
    smoke: Annotated[
        bool, typer.Option("--smoke/--no-smoke", help="Prove at the end that the cluster works.")
    ] = True,
    eks: Annotated[
        str | None,
        typer.Option(
            "--eks", help="Make an EKS cluster of this name; writes the file first.", metavar="NAME"
        ),
    ] = None,
    region: RegionOption = None,
    nodes: NodesOption = 2,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="EKS: stay until AWS is done, or let it go on by itself.")
    ] = True,
    live_prices: LivePricesOption = False,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create the cluster, or bring it to what the file says. Safe to run again, at any time.

    Example: provision apply --control-plane ubuntu@10.0.0.11 --worker ubuntu@10.0.0.21
    """
    if control_plane or worker or eks:
        from provision.cli.file import kubeadm as write_kubeadm
        from provision.config.scaffold.eks import eks_cluster_from_arguments, write_eks_file

        options = "--eks" if eks else "--control-plane and --worker"
        if eks and (control_plane or worker):
            raise FileError("--eks makes its own machines", fix="leave --control-plane and --worker out")
        if file.exists():
            fix = f"leave {options} out, or name another file with -f"
            raise FileError(f"{file} is there already", fix=fix)
        if eks:
            asked = eks_cluster_from_arguments(
                name=eks, region=region, nodes=nodes, kubernetes=kubernetes, name_flag="--eks"
            )
            write_eks_file(file, asked)
        else:
            write_kubeadm(control_plane, worker, name, kubernetes, endpoint, ssh_key, bastion, file)
    goal = goal_of(file, smoke=smoke, wait=wait, live_prices=live_prices)
    from provision.engine.run import Manner, reach

    reach(goal, Manner(yes=yes, verbose=verbose, json=output is Output.JSON))


def status(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show nodes, versions, health, certificates, and what differs from the file.

    Example: provision status -o json
    """
    from provision.report.json_lines import document
    from provision.report.tables import status_text

    goal = goal_of(file, reading=True)
    result = goal.status(goal.look(_looking(verbose=verbose)))
    print(document(result) if output is Output.JSON else status_text(result), end="")


def _looking(*, verbose: bool) -> Emit:
    from provision.report.console import observation_reporter

    return observation_reporter(verbose=verbose)
