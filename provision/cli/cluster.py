"""`provision check`, `plan`, `apply`, `status`, `kubeconfig`, `reset`: the verbs of a whole cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

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
from provision.errors import CheckError, FileError, UnreachableError

_PENDING = 2


def check(
    live_prices: LivePricesOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Report every problem of the file and of the hosts or the account, and what a new cluster costs; change nothing.

    Example: provision check && provision apply
    """
    from provision.cli.interaction import Terminal
    from provision.model.units import counted
    from provision.providers import load_provider
    from provision.report.json_lines import document
    from provision.report.text import findings_text, warning_text

    warnings = ""
    terminal = Terminal(verbose=verbose)
    try:
        operation = load_provider(file).apply(live_prices=live_prices)
        with terminal.reporting_observation():
            observed = operation.observe(terminal.emit, terminal)
        findings = operation.check(observed)
        warnings = "".join(map(warning_text, operation.warnings(observed, ())))
        errors = sum(finding.severity == "error" for finding in findings)
        code, subject = (CheckError.exit_code if errors else 0), operation.description.subject
    except (FileError, UnreachableError) as error:
        findings, code, subject = error.findings, error.exit_code, "no host"
        if not findings:
            raise
    if output is Output.JSON:
        print(document({"file": str(file), "findings": findings}), end="")
    else:
        print(findings_text(findings) + warnings, end="")
    errors = sum(finding.severity == "error" for finding in findings)
    result = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
    print(f"{file}: {subject} observed, {result}; nothing was changed", file=sys.stderr)
    raise typer.Exit(code)


def plan(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show the steps that apply would run, and why; exit code 2 when there are any.

    Example: provision plan -o json
    """
    from provision.providers import load_provider

    operation = load_provider(file).apply()
    from provision.cli.interaction import Terminal
    from provision.engine.run import observe_and_check
    from provision.report.json_lines import document
    from provision.report.text import findings_text, plan_text

    terminal = Terminal(verbose=verbose)
    with terminal.reporting_observation():
        observed, findings = observe_and_check(operation, terminal)
    print(findings_text(findings), end="", file=sys.stderr)
    steps = operation.plan(observed)
    cluster = operation.description.cluster
    if output is Output.JSON:
        print(document({"cluster": cluster, "steps": steps}), end="")
    else:
        print(plan_text(cluster, steps), end="")
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
    from provision.providers import load_provider

    operation = load_provider(file).apply(smoke=smoke, wait=wait, live_prices=live_prices)
    from provision.cli.interaction import run_operation

    run_operation(operation, yes=yes, verbose=verbose, output=output)


def status(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show nodes, versions, health, certificates, and what differs from the file.

    Example: provision status -o json
    """
    from provision.providers import load_provider

    operation = load_provider(file).apply(skip_unreachable=True)
    from provision.cli.interaction import Terminal
    from provision.report.json_lines import document
    from provision.report.tables import status_text

    terminal = Terminal(verbose=verbose)
    with terminal.reporting_observation():
        observed = operation.observe(terminal.emit, terminal)
    result = operation.status(observed, terminal)
    print(document(result) if output is Output.JSON else status_text(result), end="")


def kubeconfig(
    merge: Annotated[
        bool, typer.Option("--merge", help="Add it to $KUBECONFIG or ~/.kube/config; what is there stays.")
    ] = False,
    context: Annotated[
        str | None, typer.Option("--context", help="Its name there, if not the cluster's.", metavar="NAME")
    ] = None,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
    verbose: VerboseOption = False,
) -> None:
    """Write the kubeconfig of the cluster: beside the file, or merged into your own.

    Example: provision kubeconfig --merge && kubectl --context demo get nodes
    """
    from provision import kubeconfig as kube
    from provision.cli.interaction import Terminal
    from provision.providers import load_provider
    from provision.report.json_lines import document

    if context and not merge:
        raise FileError("--context names a context of your own kubeconfig", fix="add --merge")
    operation = load_provider(file).apply(skip_unreachable=True)
    cluster = operation.description.cluster
    name = context or cluster
    terminal = Terminal(verbose=verbose)
    with terminal.reporting_observation():
        text = operation.kubeconfig(operation.observe(terminal.emit, terminal), name)
    if text is None:
        raise CheckError(
            f"cluster {cluster} does not exist, or does not answer", fix=f"provision apply -f {file}"
        )
    current = True
    if merge:
        target = Path(os.environ.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube" / "config")
        current = kube.merge(text, target)
    else:
        target = kube.beside(file, cluster)
        kube.write(target, text)
    if output is Output.JSON:
        print(document({"path": str(target), "context": name, "current": current}), end="")
        return
    print(target)
    if merge:
        use = "it is the current one" if current else f"use it: kubectl config use-context {name}"
        print(f"context {name} is there; {use}", file=sys.stderr)


def reset(
    hosts: Annotated[
        list[str] | None, typer.Argument(metavar="[HOST]...", help="Hosts; all if none.")
    ] = None,
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="EKS: delete the volumes of claims, too.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Leave hosts that cannot be reached as they are; delete pods without a controller.",
        ),
    ] = False,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Destroy the cluster, or reset hosts to what they were before it. Asks for the cluster's name unless --yes.

    Example: provision reset w3
    """
    from provision.providers import load_provider

    names = tuple(dict.fromkeys(hosts or ()))
    operation = load_provider(file).reset(hosts=names, force=force, delete_volumes=delete_volumes)
    from provision.cli.interaction import run_operation

    run_operation(operation, yes=yes, verbose=verbose, output=output, phrase=operation.description.cluster)
