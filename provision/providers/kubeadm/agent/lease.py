"""The lock of the cluster as a Lease in kube-system: who holds it, and a heartbeat. A stale one may be taken over."""

from __future__ import annotations

import calendar
import json
import time

from provision.providers.kubeadm.agent.objects import Objects, Refused

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = LEASES + "/provision"
SECONDS = 60  # without a heartbeat for so long its owner is taken for dead
_OWNER = "provision/owner"


class Taken(Exception):  # noqa: N818 - no error: an answer
    """Somebody else holds the lock; `owner` says who, `age` how long ago they gave a sign of life (seconds)."""

    def __init__(self, owner: dict, age: float) -> None:  # type: ignore[type-arg]
        super().__init__()
        self.owner = owner
        self.age = age


def take(objects: Objects, owner: dict, dead: list[str]) -> dict:  # type: ignore[type-arg]
    """Become the owner; raises Taken. Returns the former owner whose lock was stale, {} if there was none.

    `dead` are ids of owners of whom is known that they live no more.
    """
    while True:
        present = objects.get(LEASE)
        try:
            if not present:
                objects.create(LEASES, _lease(owner, {}))
                return {}
            former = owner_of(present)
            free = not former or former["id"] == owner["id"]
            age = time.time() - _epoch(present["spec"].get("renewTime", ""))
            if not free and age < SECONDS and former["id"] not in dead:
                raise Taken(former, age)
            objects.replace(LEASE, _lease(owner, present))
        except Refused as error:
            if not error.conflict:
                raise
        else:
            return {} if free else former


def renew(objects: Objects, owner: dict) -> None:  # type: ignore[type-arg]
    """Give a sign of life; raises Taken if the lock is somebody else's by now. One that is gone is made again."""
    take(objects, owner, [])


def release(objects: Objects, owner: dict) -> None:  # type: ignore[type-arg]
    """Delete the Lease if it is still ours."""
    present = objects.get(LEASE)
    if present and owner_of(present).get("id") == owner["id"]:
        version = present["metadata"]["resourceVersion"]
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": version}}
        objects.delete(LEASE, options)


def owner_of(lease: dict) -> dict:  # type: ignore[type-arg]
    """Who holds it; {} where nobody does."""
    if not lease.get("spec", {}).get("holderIdentity"):
        return {}
    try:
        found = json.loads(lease["metadata"].get("annotations", {})[_OWNER])
    except (KeyError, ValueError):
        found = {}
    return {"id": "", "who": lease["spec"]["holderIdentity"], "command": "", "since": "", **found}


def _lease(owner: dict, present: dict) -> dict:  # type: ignore[type-arg]
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = present.get("spec", {})
    same = owner_of(present).get("id") == owner["id"] if present else False
    metadata = {"name": "provision", "namespace": "kube-system", "annotations": {_OWNER: json.dumps(owner)}}
    if present:
        metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": owner["who"],
            "leaseDurationSeconds": SECONDS,
            "acquireTime": spec.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": spec.get("leaseTransitions", 0) + (0 if same or not present else 1),
        },
    }


def _epoch(text: str) -> float:
    """`2026-11-21T14:02:11.000000Z` -> seconds since the epoch; 0 where that is missing."""
    try:
        return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
