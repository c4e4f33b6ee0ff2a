"""Find the eksctl on PATH, run it and report what it does.

It gets credentials through the environment only and the ClusterConfig through its standard input: nothing is written to
a disk, and nothing is left behind when a run is killed.
"""

from __future__ import annotations

import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.engine.events import HostFailed, Note, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import CheckError, StepFailedError
from provision.providers.eks.eksctl import progress
from provision.providers.eks.eksctl.cluster_config import config_text
from provision.redact import redact

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.providers.eks.eksctl.plan import EksctlStep
    from provision.providers.eks.eksctl.progress import Line

# Seconds: between two polls of `cancel`, and for eksctl to end after a signal.
_POLL, _GRACE = 0.2, 10.0
_SHOWN = 10  # last lines of a failure
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# The first release that reads the versions of Kubernetes from EKS instead of a built-in list (eksctl-io/eksctl#8144).
# Everything that cluster_config writes is older.
OLDEST = (0, 202, 0)
_INSTALL = "install eksctl {} or newer (https://eksctl.io/installation), or write `backend: boto3`".format(
    ".".join(map(str, OLDEST))
)
_VERSION_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Eksctl:
    """An eksctl that is recent enough."""

    path: str
    version: str  # "0.215.0"


def find() -> Eksctl:
    """Find the eksctl on PATH. Raises CheckError if there is none, its version is unknown, or it is too old."""
    path = shutil.which("eksctl")
    if path is None:
        raise CheckError("there is no eksctl on PATH, which `backend: eksctl` requires", fix=_INSTALL)
    try:
        done = subprocess.run(
            [path, "version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CheckError(f"`{path} version` failed: {error}", fix=_INSTALL) from error
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    if found is None:
        output = done.stdout.strip()[:80]
        raise CheckError(f"`{path} version` printed no version but {output!r}", fix=_INSTALL)
    if tuple(map(int, found.groups())) < OLDEST:
        raise CheckError(f"{path} is {found[0]}, which is too old", fix=_INSTALL)
    return Eksctl(path, found[0])


@dataclass(frozen=True, slots=True)
class Commands:
    """The runner of the steps of one run; `find` returns `eksctl`."""

    cluster: EksCluster
    eksctl: Eksctl

    def run_step(self, step: EksctlStep, emit: Emit, cancel: threading.Event) -> StepResult:
        """Run the step's commands one after the other; ends soon after `cancel` is set.

        What CloudFormation has begun continues all the same. Raises StepFailedError if eksctl cannot be started.
        """
        config = config_text(step.config) if step.config else ""
        reporter = _Reporter(step, emit)
        for arguments in step.commands:
            code = self._run(arguments, config, reporter, cancel)
            if cancel.is_set():
                return StepResult(changed=True, failed=frozenset(step.hosts))
            if code != 0:
                reporter.failed(code, arguments, self.cluster)
                return StepResult(changed=True, failed=frozenset(step.hosts))
        reporter.finished()
        return StepResult(changed=True)

    def _run(
        self, arguments: Sequence[str], config: str, reporter: _Reporter, cancel: threading.Event
    ) -> int:
        """Return the exit code. In a session of its own, so that Ctrl-C at the terminal reaches provision alone."""
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
        pipe = threading.Thread(target=_pipe, args=(process, config, lines), daemon=True)
        pipe.start()
        ended = False
        try:
            while not cancel.is_set() and (line := _next(lines)) is not None:
                if line:
                    reporter.line(line)
            ended = not cancel.is_set()
        finally:
            if not ended:
                _stop(process)
        pipe.join(_GRACE)
        return process.wait()


def environment(cluster: EksCluster, inherited: Mapping[str, str]) -> dict[str, str]:
    """The inherited environment with the region and the profile of the file.

    Keys are left out where there is a profile: unlike boto3, AWS's SDK for Go prefers them to it.
    """
    region = {"AWS_REGION": cluster.region, "AWS_DEFAULT_REGION": cluster.region}
    if cluster.profile is None:
        return {**inherited, **region}
    rest = {name: value for name, value in inherited.items() if name not in _KEYS}
    return {**rest, **region, "AWS_PROFILE": cluster.profile}


@dataclass(slots=True)
class _Reporter:
    """Turns eksctl's lines into events of one step; repeated lines make one event."""

    step: EksctlStep
    emit: Emit
    output: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    tasks: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Line] = field(default_factory=list)

    def line(self, text: str) -> None:
        clean = redact(text.rstrip())
        self.output.append(clean)
        line = progress.read(clean, self.step.hosts)
        if line is None or self.tasks.get(line.resource) == line.text:
            return
        if line.level == "error":
            self.errors.append(line)
        elif line.level == "warning":
            self.emit(Note(step=self.step.name, host=line.resource, text=line.text))
        elif line.level == "done":
            self.done.setdefault(line.resource, []).append(line.text)
        else:
            self.tasks[line.resource] = line.text
            self.emit(TaskStarted(step=self.step.name, host=line.resource, task=line.text))

    def finished(self) -> None:
        for host in self.step.hosts:
            task = self.tasks.get(host, self.step.summary)
            changes = tuple(self.done.get(host, ()))
            self.emit(TaskFinished(step=self.step.name, host=host, task=task, changed=True, changes=changes))

    def failed(self, code: int, arguments: Sequence[str], cluster: EksCluster) -> None:
        """Emit an event per resource with an error; for the first resource if eksctl named none."""
        lines = [line for line in self.output if line.strip()]
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
                    task=self.tasks.get(host, self.step.summary),
                    message=message,
                    command=shlex.join(["eksctl", *arguments]),
                    lines=tuple(lines[-_SHOWN:]),
                    cause=cause,
                    fix=fix,
                )
            )


def _pipe(process: subprocess.Popen[str], config: str, lines: queue.SimpleQueue[str | None]) -> None:
    """Write the ClusterConfig, then queue every line of the output; None marks the end."""
    try:
        if process.stdin is not None:
            process.stdin.write(config)
            process.stdin.close()
    except OSError:
        pass  # it ended before it had read everything; its exit code says why
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
        process.stdout.close()
    lines.put(None)


def _next(lines: queue.SimpleQueue[str | None]) -> str | None:
    """The next line; "" if there is none yet, None at the end."""
    try:
        return lines.get(timeout=_POLL)
    except queue.Empty:
        return ""


def _stop(process: subprocess.Popen[str]) -> None:
    """End eksctl and its child processes."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return
