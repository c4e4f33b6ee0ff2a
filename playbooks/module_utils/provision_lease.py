"""The cluster's lock as a Lease in kube-system: its holder and a heartbeat. A stale one may be taken over."""

from __future__ import annotations

import calendar
import json
import time

from ansible.module_utils.provision_api import ApiError

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from typing import Any

    from ansible.module_utils.provision_api import Api

    Holder = dict[str, str]

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = LEASES + "/provision"
SECONDS = 60  # without a heartbeat for so long its holder counts as dead
_OWNER = "provision/owner"


class HeldError(Exception):
    """Another run holds the lock: `holder`, whose last heartbeat is `age` seconds old."""

    def __init__(self, holder: Holder, age: float) -> None:
        super().__init__()
        self.holder = holder
        self.age = age


def take(api: Api, holder: Holder, dead: list[str]) -> Holder:
    """Become the holder; raises HeldError. Returns the former holder whose lock was stale, {} if there was none.

    `dead` are ids of holders that are known to be dead.
    """
    while True:
        present = api.get(LEASE) or {}
        try:
            if not present:
                api.create(LEASES, _lease(holder, {}))
                return {}
            former = holder_of(present)
            free = not former or former["id"] == holder["id"]
            age = time.time() - _epoch(present["spec"].get("renewTime", ""))
            if not free and age < SECONDS and former["id"] not in dead:
                raise HeldError(former, age)
            api.replace(LEASE, _lease(holder, present))
        except ApiError as error:
            if not error.is_conflict:
                raise
        else:
            return {} if free else former


def renew(api: Api, holder: Holder) -> None:
    """Send a heartbeat; raises HeldError if another run has taken the lock. A deleted Lease is created again."""
    take(api, holder, [])


def release(api: Api, holder: Holder) -> None:
    """Delete the Lease if `holder` still holds it."""
    present = api.get(LEASE)
    if present and holder_of(present).get("id") == holder["id"]:
        version = present["metadata"]["resourceVersion"]
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": version}}
        api.delete(LEASE, options)


def holder_of(lease: dict[str, Any]) -> Holder:
    """Who holds it; {} if it is free."""
    if not lease.get("spec", {}).get("holderIdentity"):
        return {}
    try:
        found = json.loads(lease["metadata"].get("annotations", {})[_OWNER])
    except (KeyError, ValueError):
        found = {}
    return {"id": "", "who": lease["spec"]["holderIdentity"], "command": "", "since": "", **found}


def _lease(holder: Holder, present: dict[str, Any]) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = present.get("spec", {})
    same = holder_of(present).get("id") == holder["id"] if present else False
    metadata = {"name": "provision", "namespace": "kube-system", "annotations": {_OWNER: json.dumps(holder)}}
    if present:
        metadata["resourceVersion"] = present["metadata"]["resourceVersion"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": holder["who"],
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
