"""`provision lab`: local machines to try, test and rehearse on."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provision.cli.options import Output, OutputOption

if TYPE_CHECKING:
    from provision.lab.lab import LabStatus

app = typer.Typer(no_args_is_help=True, help="Local machines to try, test and rehearse on.")

Name = Annotated[str, typer.Option("--name", help="Name of the lab; several can run side by side.")]


class Backend(StrEnum):
    UML = "uml"
    QEMU = "qemu"


@app.command()
def up(
    *,
    name: Name = "demo",
    control_planes: Annotated[
        int | None, typer.Option(min=1, max=9, help="Number of control planes; 1 in a new lab by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=200, help="Number of workers; 1 in a new lab by default.")
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(min=512, help="MiB per new machine; 3072, and 2048 for a worker, by default."),
    ] = None,
    backend: Annotated[
        Backend | None, typer.Option(help="User-Mode Linux or QEMU; QEMU where KVM works by default.")
    ] = None,
    kubernetes: Annotated[
        list[str] | None,
        typer.Option(
            help="Kubernetes minor or version to offer; can be repeated, the cluster gets the first."
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="Container runtime to offer: containerd, crio, docker; can be repeated likewise."),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="System of new machines: debian-13, rocky-9, rocky-10; NAME=SYSTEM for one. Can be repeated."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Also write the cluster file here.", dir_okay=False)
    ] = None,
) -> None:
    """Create a lab or add machines to it, boot them, and write a cluster file for them.

    Example: provision lab up --control-planes 3 --workers 2 --name ha
    """
    from provision.lab.lab import LabRequest, up
    from provision.lab.state import lab_directory

    begin = time.monotonic()

    def progress(line: str) -> None:
        print(f"{time.monotonic() - begin:6.1f}s  {line}", file=sys.stderr, flush=True)

    request = LabRequest(
        name,
        control_planes,
        workers,
        memory,
        backend and backend.value,
        file,
        tuple(kubernetes or ()),
        tuple(runtime or ()),
        tuple(system or ()),
    )
    for line in up(request, progress):
        progress(line)
    option = "" if name == "demo" else f" --name {name}"
    path = file or lab_directory(name).cluster_file
    print(
        f"lab {name} is up; next:\n"
        f"  provision lab run{option} -- provision apply --file {path}\n"
        f"  provision lab ssh{option} cp1\n"
        f"  provision lab down{option}",
        file=sys.stderr,
    )


@app.command()
def down(*, name: Name = "demo") -> None:
    """Stop the machines of a lab and remove all of its files.

    Example: provision lab down --name ha
    """
    from provision.lab.lab import down

    print(f"lab {name} is removed" if down(name) else f"there is no lab {name}", file=sys.stderr)


@app.command()
def status(*, output: OutputOption = Output.TEXT) -> None:
    """List the labs and their machines.

    Example: provision lab status -o json
    """
    from provision.lab.lab import status
    from provision.report.json_lines import document

    labs = status()
    print(document(labs) if output is Output.JSON else _as_text(labs), end="")


@app.command()
def ssh(
    host: str, command: Annotated[list[str] | None, typer.Argument()] = None, *, name: Name = "demo"
) -> None:
    """Log in to a machine, or run a command on it, as a user with sudo.

    Example: provision lab ssh cp1 -- sudo journalctl -u kubelet
    """
    from provision.lab.lab import require_root
    from provision.lab.machines import ssh_command
    from provision.lab.state import load_lab

    require_root()
    directory, lab = load_lab(name)
    argv = ssh_command(directory, lab.machine(host).name, command or ())
    os.execvp(argv[0], argv)  # noqa: S606  this process becomes ssh: its terminal, signals and exit code


@app.command()
def run(command: list[str], *, name: Name = "demo") -> None:
    """Run a command inside the lab's network, in this directory and with this environment.

    Example: provision lab run -- kubectl get nodes
    """
    from provision.lab.lab import require_root
    from provision.lab.network import enter_command
    from provision.lab.state import load_lab

    require_root()
    directory, lab = load_lab(name)
    argv = (*enter_command(lab.name), *command)
    # The lab's kubectl comes first, this program's virtual environment last, so that `provision` is found.
    paths = [str(directory.programs), os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    environment = {**os.environ, "PATH": os.pathsep.join(paths)}
    os.execvpe(argv[0], argv, environment)  # noqa: S606  this process becomes the command: its signals and exit code


def _as_text(labs: tuple[LabStatus, ...]) -> str:
    from provision.report.text import table

    if not labs:
        return "there is no lab; make one: provision lab up\n"
    rows: list[tuple[str, ...]] = []
    for lab in labs:
        if not lab.machines:
            rows.append((lab.name, "-", "-", "-", "-", "-", "interrupted"))
        for one in lab.machines:
            state = "running" if one.running else "off"
            rows.append((lab.name, one.name, one.role, one.system, one.address, f"{one.memory} MiB", state))
    return table(("LAB", "HOST", "ROLE", "SYSTEM", "ADDRESS", "MEMORY", "STATE"), rows)
