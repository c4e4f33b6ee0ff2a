"""Members of etcd that leave: a snapshot first, never below a majority, one after the other."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_etcd import (
    Etcd,
    majority,
    matching,
    refuse_without_quorum,
    retried,
    unhealthy,
    wait_until_healthy,
)
from ansible.module_utils.provision_etcd_connection import LOCAL, Member
from ansible.module_utils.provision_host import STATE_DIRECTORY, Changes, HostError
from ansible.module_utils.provision_lock import exclusive
from ansible.module_utils.provision_module import run_module

DOCUMENTATION = r"""
module: etcd_member
short_description: Take members out of etcd, or make it ready for one more
description:
  - Runs on a control plane that stays. Saves etcd, then removes the members of the hosts that leave, unless the
    rest would not be a healthy majority; waits until etcd is healthy without them. Members that are gone already
    are no change, and then nothing is saved either, unless one is to join.
options:
  gone: {description: "Hosts that leave, each with `name` and `address`", type: list, elements: dict, required: true}
  joins: {description: "A host of `gone` joins next, so what it left must go", type: bool, default: false}
  keep: {description: How many snapshots are kept on this host, type: int, default: 5}
  timeout: {description: Seconds to wait for a healthy etcd, type: int, default: 180}
author: provision
"""

SNAPSHOTS = STATE_DIRECTORY / "etcd"
_WAIT = 600  # seconds for another run that changes members
_RETRY = 60  # seconds for an election, and in which etcd may refuse a change: it wants its members connected for 5 s


def take_out(wanted: dict[str, Any], changes: Changes, *, etcd: Etcd | None = None) -> dict[str, Any]:
    """Return `snapshot`, the path of what was saved; "" if nothing had to be done."""
    etcd = etcd or Etcd(LOCAL)
    if changes.dry:
        for member in _leaving(etcd.members(agreed=False), wanted["gone"]):
            changes.make(f"removed the etcd member {member.called}", lambda: None)
        return {"snapshot": ""}
    with exclusive("etcd-member", wait=_WAIT):
        retried(lambda: refuse_without_quorum(etcd), _RETRY)
        members = etcd.members()
        leaving = _leaving(members, wanted["gone"])
        if not leaving and not wanted["joins"]:
            return {"snapshot": ""}
        ill = unhealthy(etcd)
        _refuse(etcd, members, leaving, ill)
        path = save(etcd, SNAPSHOTS, keep=wanted["keep"])
        changes.make(f"saved etcd in {path}", lambda: None)
        # etcd lets one that is lost go at any time, one that is well only while all others are.
        for member in sorted(leaving, key=lambda member: member.id not in ill):
            _hand_over(etcd, member)
            changes.make(
                f"removed the etcd member {member.called}",
                lambda member=member: retried(lambda: _remove(etcd, member), _RETRY),
            )
        # Who was ill before may stay so, unless one is to join: then all have to agree.
        wait_until_healthy(etcd, wanted["timeout"], besides=[] if wanted["joins"] else ill)
    return {"snapshot": str(path)}


def save(etcd: Etcd, directory: Path, *, keep: int) -> Path:
    """Write a snapshot (0600) and delete the oldest, so that `keep` of them stay; whole or not at all."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path, partial = directory / f"snapshot-{stamp}.db", directory / ".snapshot.partial"
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for part in etcd.snapshot():
                file.write(part)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for old in sorted(directory.glob("snapshot-*.db"))[:-keep]:
        old.unlink()
    return path


def _leaving(members: list[Member], gone: list[dict[str, str]]) -> list[Member]:
    found = {
        member.id: member
        for host in gone
        for member in matching(members, name=host["name"], address=host.get("address", ""))
    }
    return list(found.values())


def _refuse(etcd: Etcd, members: list[Member], leaving: list[Member], ill: dict[str, str]) -> None:
    """HostError unless those that stay are a healthy majority of themselves."""
    ids = {member.id for member in leaving}
    staying = [member for member in members if member.id not in ids and not member.learner]
    if etcd.status().get("header", {}).get("member_id") in ids:
        raise HostError(
            "the etcd member of this host is to be removed; that has to be done through another one"
        )
    well = sum(member.id not in ill for member in staying)
    if well < majority(len(staying)):
        raise HostError(
            f"without {', '.join(member.called for member in leaving)} etcd would lose its quorum: of "
            f"{len(staying)} members that stay {well} are well, {majority(len(staying))} are needed",
            lines=[problem for member, problem in ill.items() if member not in ids],
        )


def _hand_over(etcd: Etcd, member: Member) -> None:
    """Let the member of this host lead before the leader goes: writes then wait for milliseconds, not for seconds."""
    status = etcd.status()
    me = next(one for one in etcd.members() if one.id == status["header"]["member_id"])
    if status.get("leader") != member.id:
        return
    for host in member.clients:
        # A leader that does not answer loses the leadership by itself.
        with contextlib.suppress(HostError):
            etcd.at(host).lead(me)
            return


def _remove(etcd: Etcd, member: Member) -> None:
    if any(one.id == member.id for one in etcd.members()):
        etcd.remove(member)


if __name__ == "__main__":
    run_module(
        {
            "gone": {"type": "list", "elements": "dict", "required": True},
            "joins": {"type": "bool", "default": False},
            "keep": {"type": "int", "default": 5},
            "timeout": {"type": "int", "default": 180},
        },
        take_out,
    )
