"""One run at a time for a cluster, wherever it was started: the lock that the agent holds on control planes.

With an API server it is a Lease, seen by every control plane; without one, a locked file on each control plane of the
file. A heartbeat keeps it; it is free when this process ends, whatever ends it.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision import ssh
from provision.engine.locks import LockHolder, from_json, this_process
from provision.errors import BusyError, ProvisionError, UnreachableError
from provision.providers.kubeadm import host_programs
from provision.ssh.findings import PYTHON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import Observation

# Seconds.
HEARTBEAT = 10.0
_SILENCE = 15.0  # of an API server, until another control plane's hears the heartbeats
_ANSWER = 40.0  # the agent's own requests are bounded by less
_DEAD_HOLDER = 70.0  # until a lock whose holder is known to have ended must be free
_RESTART = 30.0  # until an API server that answered a moment ago must answer again


@dataclass
class ClusterLock:
    """Made by `cluster_lock`. `lost` is the present holder if this run has lost it."""

    cluster: Cluster
    hosts: tuple[Host, ...]  # control planes that can hold it, the best first
    lease: bool
    holder: LockHolder
    secrets: ssh.Secrets
    warn: Callable[[str], None]
    lost: str = ""
    _heard: float = 0.0  # last heartbeat that an API server accepted, by the monotonic clock
    _held: dict[str, tuple[ssh.Session, ExitStack]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise BusyError if another run holds the lock by now: no further step may begin."""
        if self.lost:
            raise BusyError(
                f"the lock of cluster {self.cluster.name} was lost to {self.lost}: this machine or its network "
                "stood still for too long",
                fix="wait until that run is done, then try again",
            )

    def take(self) -> None:
        """Take it: a Lease through one control plane, or the file of every one. Raises BusyError."""
        for host in self.hosts[:1] if self.lease else self.hosts:
            self._take_on(host)

    def release(self) -> None:
        self._ended.set()
        for _, stack in reversed(self._held.values()):
            with suppress(UnreachableError):
                stack.close()
        self._held.clear()

    def keep(self) -> None:
        """Send heartbeats until the release; in a thread of its own."""
        while not self._ended.wait(HEARTBEAT) and not self.lost:
            for name in tuple(self._held):
                self._beat(name)

    def _beat(self, name: str) -> None:
        session, stack = self._held[name]
        try:
            session.send(b"beat\n")
            answer = _answer(session)
        except UnreachableError:
            with suppress(UnreachableError):
                stack.close()
            self._take_again(name)
            return
        if "lost" in answer:
            self.lost = str(from_json(_mapping(answer["lost"])))
        if not answer.get("beat"):
            self._heard = time.monotonic()
        elif self.lease and time.monotonic() - self._heard > _SILENCE:
            self._move(name)

    def _move(self, name: str) -> None:
        """From a control plane whose API server does not answer to another one; it stays there if none does."""
        session, stack = self._held[name]
        if self._taken_on_one_of(host for host in self.hosts if host.name != name):
            with suppress(UnreachableError), stack:
                session.send(b"leave\n")
            self._held.pop(name)

    def _take_again(self, name: str) -> None:
        """After a lost connection: the Lease through any control plane, a file on its own host."""
        taken = self._taken_on_one_of(self.hosts if self.lease else (self.cluster.host(name),))
        if taken and taken != name:
            self._held.pop(name)

    def _taken_on_one_of(self, hosts: Iterable[Host]) -> str:
        """The name of the first that the lock could be taken on; "" if none, or if another run holds it by now."""
        for host in hosts:
            try:
                self._take_on(host, patient=False)
            except BusyError as error:
                self.lost = str(error.message)
                return ""
            except ProvisionError:
                continue
            return host.name
        return ""

    def _take_on(self, host: Host, *, patient: bool = True) -> None:
        """`patient`: at the beginning of a run, when others may still be ending."""
        began = time.monotonic()
        dead: list[str] = []
        while True:
            with ExitStack() as stack:
                session = stack.enter_context(self._session(host, dead, first=patient))
                answer = _answer(session)
                if "held" in answer:
                    self._heard = time.monotonic()
                    self._held[host.name] = (session, stack.pop_all())
                    former = _mapping(answer["held"])
                    if former:
                        self.warn(f"a stale lock was taken over: {from_json(former)}")
                    return
            waited = time.monotonic() - began
            if "busy" in answer:
                other = from_json(_mapping(answer["busy"]))
                ours = other.is_dead() or other.id == self.holder.id
                if not patient or waited > _DEAD_HOLDER or not ours:
                    raise _busy(self.cluster.name, other, answer.get("age"))
                dead.append(other.id)
            elif not patient or waited > _RESTART:
                raise ProvisionError(
                    f"{host.name}: the lock of the cluster cannot be taken: {answer.get('problem', answer)}",
                    fix="try again; `provision status` shows the state of the cluster",
                )
            time.sleep(1)

    def _session(self, host: Host, dead: list[str], *, first: bool) -> Any:
        owner = self.holder.to_json()
        request = {"do": "hold", "lease": self.lease, "dead": dead, "owner": owner, "first": first}
        program = ssh.Command((PYTHON, *host_programs.agent_arguments()), host_programs.agent_source(request))
        return ssh.session(
            self.cluster, host, program, secrets=self.secrets, connect_seconds=ssh.CONNECT_SECONDS
        )


@contextmanager
def cluster_lock(
    cluster: Cluster,
    observation: Observation,
    *,
    command: str,
    secrets: ssh.Secrets,
    warn: Callable[[str], None],
) -> Iterator[ClusterLock]:
    """Hold the cluster's lock; `warn` is called when a stale one was taken over.

    Raises BusyError that says who holds it, from where, with which command and since when.
    """
    planes = cluster.control_planes_among(observation.hosts)
    healthy = sorted(
        planes, key=lambda host: (host.name != observation.source, _silent(observation, host.name))
    )
    lock = ClusterLock(
        cluster=cluster,
        hosts=tuple(healthy),
        lease=observation.cluster is not None,
        holder=this_process(command),
        secrets=secrets,
        warn=warn,
    )
    try:
        lock.take()
        threading.Thread(target=lock.keep, name="lock", daemon=True).start()
        yield lock
    finally:
        lock.release()


def _silent(observation: Observation, name: str) -> bool:
    api = observation.hosts[name].api
    return api is None or bool(api.error)


def _answer(session: ssh.Session) -> dict[str, object]:
    end = time.monotonic() + _ANSWER
    while True:
        answer = host_programs.agent_answer(session.line(max(0.1, end - time.monotonic())))
        if answer is not None:
            return answer


def _busy(cluster: str, other: LockHolder, age: object) -> BusyError:
    sign = f"; its last heartbeat is {age} s old" if age else ""
    return BusyError(
        f"cluster {cluster} is being worked on: {other}{sign}",
        fix="wait until that is done, then try again; a lock without heartbeats is taken over after a minute",
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
