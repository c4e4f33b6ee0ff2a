"""`provision reset`: a cluster, or hosts of it, back to what they were."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.cli.options import DEFAULT_FILE, FileOption, Output, OutputOption, VerboseOption, YesOption


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
    from provision.cli.interaction import Terminal
    from provision.engine.run import run

    phrase = operation.description.cluster
    terminal = Terminal(yes=yes, verbose=verbose, json=output is Output.JSON, phrase=phrase)
    terminal.report(run(operation, terminal))
