"""`provision kubeconfig`: the admin kubeconfig of the cluster."""

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
    """Fetch the admin kubeconfig: beside the file, or merged into your own.

    Example: provision kubeconfig --merge && kubectl --context demo get nodes
    """
    from provision import kubeconfig as kube
    from provision.cli.looking import look
    from provision.config import kubeadm_only, load
    from provision.report.console import looking
    from provision.report.jsonlines import document

    if context and not merge:
        raise FileError("--context names a context of your own kubeconfig", fix="add --merge")
    loaded = kubeadm_only(load(file), "provision kubeconfig")
    seen = look(loaded.cluster, looking(verbose=verbose))
    if seen.observation.cluster is None:
        raise CheckError(
            f"cluster {loaded.cluster.name} has no healthy control plane", fix=f"provision apply -f {file}"
        )
    text = kube.fetch(loaded.cluster, seen.observation.source, sudo_password=seen.sudo_password)
    name = context or loaded.cluster.name
    current = True
    if merge:
        target = Path(os.environ.get("KUBECONFIG", "").split(":")[0] or Path.home() / ".kube" / "config")
        current = kube.merge(kube.renamed(text, name), target)
    else:
        target = kube.beside(file, loaded.cluster.name)
        kube.write(target, text)
    if output is Output.JSON:
        print(document({"path": str(target), "context": name, "current": current}), end="")
        return
    print(target)
    if merge:
        use = "it is the current one" if current else f"use it: kubectl config use-context {name}"
        print(f"context {name} is there; {use}", file=sys.stderr)
