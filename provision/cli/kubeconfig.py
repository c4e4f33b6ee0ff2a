"""`provision kubeconfig`: how kubectl reaches the cluster."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from provision.cli.options import DEFAULT_FILE, FileOption, Output, OutputOption, VerboseOption
from provision.errors import CheckError, FileError


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
