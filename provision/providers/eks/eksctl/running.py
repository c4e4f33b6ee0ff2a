"""Runs eksctl and tells what it does.

Credentials reach it through the environment only, the ClusterConfig through its standard input: nothing is written to
a disk, and nothing is left behind when a run is killed.
"""

from __future__ import annotations

import os
import queue
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision.engine.events import HostFailed, Note, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import StepFailedError
from provision.providers.eks.eksctl import progress
from provision.providers.eks.eksctl.cluster_config import config_text
from provision.redact import redact

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.eksctl.program import Eksctl
    from provision.providers.eks.eksctl.progress import Line

# Seconds: between looks at `cancel`, and what eksctl is given to end by itself.
_LOOK, _GRACE = 0.2, 10.0
_SHOWN = 10  # last lines of a failure
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@contextmanager
def commands(cluster: EksCluster, eksctl: Eksctl) -> Iterator[Commands]:
    """What runs the steps of one run; see `provision.providers.eks.eksctl.program.find` for `eksctl`."""
    yield Commands(cluster, eksctl)


@dataclass(frozen=True, slots=True)
class Commands:
    """Made by `commands`."""

    cluster: EksCluster
    eksctl: Eksctl

    def run_step(self, step: PlaybookStep, emit: Emit, cancel: threading.Event) -> StepResult:
        """Run the step's commands one after the other; ends soon after `cancel` is set.

        What CloudFormation was told to do it does all the same. Raises StepFailedError if eksctl cannot be started.
        """
        variables: Any = step.variables
        config = config_text(variables["config"]) if "config" in variables else ""
        told = _Telling(step, emit)
        for arguments in variables["commands"]:
            ended = self._run(arguments, config, told, cancel)
            if cancel.is_set():
                return StepResult(changed=True, failed=frozenset(step.hosts))
            if ended != 0:
                told.failed(ended, arguments, self.cluster)
                return StepResult(changed=True, failed=frozenset(step.hosts))
        told.finished()
        return StepResult(changed=True)

    def _run(self, arguments: Sequence[str], config: str, told: _Telling, cancel: threading.Event) -> int:
        """The exit code. The program leads a session: Ctrl-C at the terminal reaches provision alone."""
        try:
            process = subprocess.Popen(
                [self.eksctl.path, *arguments, "--color=false"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment(self.cluster, os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise StepFailedError(f"cannot start {self.eksctl.path}: {error.strerror}") from error
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        talk = threading.Thread(target=_talk, args=(process, config, lines), daemon=True)
        talk.start()
        through = False
        try:
            while not cancel.is_set() and (line := _next(lines)) is not None:
                if line:
                    told.line(line)
            through = not cancel.is_set()
        finally:
            if not through:
                _stop(process)
        talk.join(_GRACE)
        return process.wait()


def environment(cluster: EksCluster, inherited: Mapping[str, str]) -> dict[str, str]:
    """The user's environment, with the region and the profile of the file.

    AWS's SDK for Go prefers keys in the environment to a profile, boto3 does not: with a profile they are left out.
    """
    ours = {"AWS_REGION": cluster.region, "AWS_DEFAULT_REGION": cluster.region}
    if cluster.profile is None:
        return {**inherited, **ours}
    rest = {name: value for name, value in inherited.items() if name not in _KEYS}
    return {**rest, **ours, "AWS_PROFILE": cluster.profile}


@dataclass(slots=True)
class _Telling:
    """Turns eksctl's lines into events of one step: a line that repeats itself is told once."""

    step: PlaybookStep
    emit: Emit
    said: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    doing: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Line] = field(default_factory=list)

    def line(self, text: str) -> None:
        clean = redact(text.rstrip())
        self.said.append(clean)
        line = progress.read(clean, self.step.hosts)
        if line is None or self.doing.get(line.resource) == line.text:
            return
        if line.level == "error":
            self.errors.append(line)
        elif line.level == "warning":
            self.emit(Note(step=self.step.name, host=line.resource, text=line.text))
        elif line.level == "done":
            self.done.setdefault(line.resource, []).append(line.text)
        else:
            self.doing[line.resource] = line.text
            self.emit(TaskStarted(step=self.step.name, host=line.resource, task=line.text))

    def finished(self) -> None:
        for host in self.step.hosts:
            task = self.doing.get(host, self.step.summary)
            changes = tuple(self.done.get(host, ()))
            self.emit(TaskFinished(step=self.step.name, host=host, task=task, changed=True, changes=changes))

    def failed(self, code: int, arguments: Sequence[str], cluster: EksCluster) -> None:
        """One event for each resource that eksctl complained about; for the first, if it named none."""
        lines = [line for line in self.said if line.strip()]
        cause, fix = progress.explain(lines, name=cluster.name, region=cluster.region)
        first: dict[str, str] = {}
        for error in self.errors:
            first.setdefault(error.resource, error.text)
        if not first:
            first[self.step.hosts[0]] = f"eksctl ended with exit code {code}"
        for host, message in first.items():
            self.emit(
                HostFailed(
                    step=self.step.name,
                    host=host,
                    task=self.doing.get(host, self.step.summary),
                    message=message,
                    command=shlex.join(["eksctl", *arguments]),
                    lines=tuple(lines[-_SHOWN:]),
                    cause=cause,
                    fix=fix,
                )
            )


def _talk(process: subprocess.Popen[str], config: str, lines: queue.SimpleQueue[str | None]) -> None:
    """Hand the ClusterConfig over, then pass every line on; None is the end."""
    try:
        if process.stdin is not None:
            process.stdin.write(config)
            process.stdin.close()
    except OSError:
        pass  # it ended before it read all; its exit code says why
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
        process.stdout.close()
    lines.put(None)


def _next(lines: queue.SimpleQueue[str | None]) -> str | None:
    """The next line, "" if there is none yet, None at the end."""
    try:
        return lines.get(timeout=_LOOK)
    except queue.Empty:
        return ""


def _stop(process: subprocess.Popen[str]) -> None:
    """End eksctl and what it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
