"""`provision check`, `plan`, `apply`, `status`: one loop with four ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.cli.options import (
    DEFAULT_FILE,
    BastionOption,
    ControlPlaneOption,
    EndpointOption,
    FileOption,
    KubernetesOption,
    NameOption,
    Output,
    OutputOption,
    SshKeyOption,
    VerboseOption,
    WorkerOption,
    YesOption,
)
from provision.errors import CheckError, FileError, UnreachableError

if TYPE_CHECKING:
    from provision.cli.looking import Look
    from provision.config import Loaded
    from provision.model import Finding

_PENDING = 2


def check(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Tell every problem of the file and of the hosts; change nothing.

    Example: provision check && provision apply
    """
    from provision.report.jsonlines import document
    from provision.report.text import counted, findings_text

    try:
        loaded, _, findings = _look_and_check(file, verbose=verbose)
        errors = sum(finding.severity == "error" for finding in findings)
        code, hosts = (CheckError.exit_code if errors else 0), counted(len(loaded.cluster.hosts), "host")
    except (FileError, UnreachableError) as error:
        findings, code, hosts = error.findings, error.exit_code, "no host"
        if not findings:
            raise
    if output is Output.JSON:
        print(document({"file": str(file), "findings": findings}), end="")
    else:
        print(findings_text(findings), end="")
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    print(f"{file}: {hosts} looked at, {told}; nothing was changed", file=sys.stderr)
    raise typer.Exit(code)


def plan(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show the steps that apply would run, and why; exit code 2 when there are any.

    Example: provision plan -o json
    """
    loaded, seen, findings = _look_and_check(file, verbose=verbose)
    from provision.kubeadm.plan import plan as make_plan
    from provision.report.jsonlines import document
    from provision.report.text import plan_text

    _refuse(findings)
    _show(findings)
    steps = make_plan(loaded.cluster, seen.observation, smoke=True)
    if output is Output.JSON:
        print(document({"cluster": loaded.cluster.name, "steps": steps}), end="")
    else:
        print(plan_text(loaded.cluster.name, steps), end="")
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
    yes: YesOption = False,
    verbose: VerboseOption = False,
    file: FileOption = DEFAULT_FILE,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create the cluster, or bring it to what the file says. Safe to run again, at any time.

    Example: provision apply --control-plane ubuntu@10.0.0.11 --worker ubuntu@10.0.0.21
    """
    if control_plane or worker:
        from provision.cli.file import kubeadm

        if file.exists():
            raise FileError(
                f"{file} is there already",
                fix="leave --control-plane and --worker out, or name another file with -f",
            )
        kubeadm(control_plane, worker, name, kubernetes, endpoint, ssh_key, bastion, file)
    from provision.cli.applying import Wish, apply_file

    apply_file(Wish(file=file, smoke=smoke, yes=yes, verbose=verbose, json=output is Output.JSON))


def status(
    file: FileOption = DEFAULT_FILE, output: OutputOption = Output.TEXT, verbose: VerboseOption = False
) -> None:
    """Show nodes, versions, health, certificates, and what differs from the file.

    Example: provision status -o json
    """
    from provision.cli.looking import look
    from provision.config import load
    from provision.kubeadm.status import status as make_status
    from provision.report.console import looking
    from provision.report.jsonlines import document
    from provision.report.status import status_text

    loaded = load(file)
    seen = look(loaded.cluster, looking(verbose=verbose))
    result = make_status(loaded.cluster, seen.observation)
    print(document(result) if output is Output.JSON else status_text(result), end="")


def _look_and_check(file: Path, *, verbose: bool) -> tuple[Loaded, Look, tuple[Finding, ...]]:
    """The file, what was seen of its hosts, and the findings of both."""
    from provision.config import load

    loaded = load(file)  # what is wrong with it is told before anything else is even imported
    from provision.cli.looking import look
    from provision.kubeadm.checks import check as check_hosts
    from provision.report.console import looking

    seen = look(loaded.cluster, looking(verbose=verbose))
    return loaded, seen, (*loaded.warnings, *check_hosts(loaded.cluster, seen.observation))


def _refuse(findings: tuple[Finding, ...]) -> None:
    """Raise CheckError if any finding is an error."""
    if any(finding.severity == "error" for finding in findings):
        raise CheckError("the checks found errors", findings=findings)


def _show(findings: tuple[Finding, ...]) -> None:
    from provision.report.text import findings_text

    print(findings_text(findings), end="", file=sys.stderr)
