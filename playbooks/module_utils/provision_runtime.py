"""Units that are stopped for a reset, and what Kubernetes kept in a containerd that stays."""

from __future__ import annotations

import shutil

from ansible.module_utils.provision_host import PATH, Changes, Run

_CTR = ["ctr", "--namespace", "k8s.io"]


def is_active(unit: str, run: Run) -> bool:
    return run(["systemctl", "is-active", "--quiet", unit], check=False).status == 0


def stop(unit: str, changes: Changes, run: Run, *, for_good: bool) -> None:
    """Stop a unit; `for_good`: it does not start at boot either. One that is not installed is none."""
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", unit]).out
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded":
        return
    if state.get("ActiveState") not in {"inactive", "failed"}:
        changes.make(f"stopped {unit}", lambda: run(["systemctl", "stop", unit], timeout=120))
    if for_good and state.get("UnitFileState") == "enabled":
        changes.make(f"disabled {unit}", lambda: run(["systemctl", "disable", "--quiet", unit]))


def empty_namespace(changes: Changes, run: Run) -> None:
    """Remove containers, images and snapshots of Kubernetes from a containerd that others use too."""
    if shutil.which("ctr", path=PATH) is None or "k8s.io" not in _listed(
        ["ctr", "namespaces", "list", "--quiet"], run
    ):
        return

    def effect() -> None:
        for kind, option in (("containers", []), ("leases", []), ("images", ["--sync"])):
            names = _listed([*_CTR, kind, "list", "--quiet"], run)
            if names:
                run([*_CTR, kind, "delete", *option, *names], timeout=300, check=False)
        while names := _snapshots(run):
            run([*_CTR, "snapshots", "delete", *names], timeout=300, check=False)
            if _snapshots(run) == names:
                break  # what is left has a user that we do not know
        run(["ctr", "namespaces", "remove", "k8s.io"], check=False)

    changes.make("removed containers and images of Kubernetes from containerd", effect)


def _snapshots(run: Run) -> list[str]:
    lines = run([*_CTR, "snapshots", "list"], check=False).out.splitlines()[1:]
    return [line.split()[0] for line in lines if line.strip()]


def _listed(argv: list[str], run: Run) -> list[str]:
    return run(argv, check=False).out.split()
