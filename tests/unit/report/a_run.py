"""A run as a sequence of events with fixed times: the input of the tests of all reports."""

from __future__ import annotations

from provision.engine.events import (
    Event,
    HostFailed,
    RunFinished,
    RunStarted,
    StepFinished,
    StepSkipped,
    StepStarted,
    Stopping,
    TaskFinished,
    TaskStarted,
)
from provision.model.plan import Finding, PlaybookStep, Reason

START = 1_700_000_000.0

PLAN = (
    PlaybookStep(
        name="prepare-hosts",
        summary="Prepare hosts: swap off, kernel modules, sysctls, names",
        playbook="prepare-hosts",
        hosts=("cp1", "w1"),
        reasons=(
            Reason("cp1", "swap is on (/swapfile, from /etc/fstab)"),
            Reason("w1", "swap is on (/swapfile, from /etc/fstab)"),
            Reason("w1", "br_netfilter is not loaded"),
        ),
        host_variables={"w1": {"host_prepare_hostname": "w1"}},
    ),
    PlaybookStep(
        name="join-workers",
        summary="Join workers",
        playbook="join-workers",
        hosts=("w1",),
        reasons=(Reason("w1", "is not a node yet"),),
        needs=("prepare-hosts",),
        variables={"node_join_endpoint": "10.0.0.11:6443"},
    ),
    PlaybookStep(
        name="wait-ready",
        summary="Wait until nodes, network and DNS are ready",
        playbook="wait-ready",
        hosts=("cp1",),
        reasons=(Reason("cp1", "the steps before change the cluster"),),
        needs=("join-workers",),
    ),
)

BEGUN: tuple[Event, ...] = (
    RunStarted(at=START, run="20231114T221320Z", cluster="demo", plan=PLAN),
    StepStarted(at=START + 0.1, step="prepare-hosts", hosts=("cp1", "w1")),
    TaskStarted(at=START + 1, step="prepare-hosts", host="cp1", task="Prepare the host"),
    TaskStarted(at=START + 1, step="prepare-hosts", host="w1", task="Prepare the host"),
    TaskFinished(
        at=START + 3.5,
        step="prepare-hosts",
        host="w1",
        task="Prepare the host",
        changed=True,
        changes=("turned swap off: /swapfile", "loaded br_netfilter"),
    ),
)
FAILED: tuple[Event, ...] = (
    *BEGUN,
    TaskFinished(at=START + 4, step="prepare-hosts", host="cp1", task="Prepare the host", changed=False),
    StepFinished(at=START + 4.1, step="prepare-hosts", seconds=4.0, changed=True),
    StepStarted(at=START + 4.2, step="join-workers", hosts=("w1",)),
    TaskStarted(at=START + 5, step="join-workers", host="w1", task="Join the cluster"),
    HostFailed(
        at=START + 75,
        step="join-workers",
        host="w1",
        task="Join the cluster",
        message="kubeadm join failed: error execution phase preflight",
        command="kubeadm join --config=/run/provision/join.yaml",
        lines=("dial tcp 10.0.0.11:6443: connect: no route to host",),
        cause="the API server's endpoint cannot be reached from here",
        fix="check the network between w1 and 10.0.0.11:6443",
    ),
    StepFinished(at=START + 75.2, step="join-workers", seconds=71.0, changed=False, failed_hosts=("w1",)),
    StepSkipped(at=START + 75.3, step="wait-ready", because="join-workers failed"),
    RunFinished(at=START + 75.4, run="20231114T221320Z", ok=False, seconds=75.4),
)
DONE: tuple[Event, ...] = (
    *BEGUN,
    StepFinished(at=START + 4.1, step="prepare-hosts", seconds=4.0, changed=True),
    TaskFinished(
        at=START + 130,
        step="wait-ready",
        host="cp1",
        task="Prove it",
        changed=False,
        proofs=("cluster DNS web.test.svc, pod on cp1 → pod on w1",),
    ),
    StepFinished(at=START + 200, step="wait-ready", seconds=70.0, changed=False),
    RunFinished(at=START + 200, run="20231114T221320Z", ok=True, seconds=200.0),
)
INTERRUPTED: tuple[Event, ...] = (
    *BEGUN,
    Stopping(at=START + 4),
    StepFinished(at=START + 4.5, step="prepare-hosts", seconds=4.4, changed=True, failed_hosts=("cp1", "w1")),
    StepSkipped(at=START + 4.5, step="join-workers", because="the run was interrupted"),
    StepSkipped(at=START + 4.5, step="wait-ready", because="the run was interrupted"),
    RunFinished(at=START + 4.6, run="20231114T221320Z", ok=False, seconds=4.6, interrupted=True),
)

FINDINGS = (
    Finding(
        severity="warning",
        check="certificates",
        where="cp1",
        message="apiserver.crt ends in 20 days",
        fix="kubeadm certs renew all",
    ),
    Finding(
        severity="error",
        check="address",
        where="cluster.yaml:14",
        key="hosts[2].address",
        message="10.0.0.300 is not an IPv4 or IPv6 address or a host name",
    ),
    Finding(
        severity="error",
        check="swap",
        where="w3",
        message="swap is on (/dev/zram0, from zram-generator)",
        fix="remove the package zram-generator, or run `provision apply`",
    ),
)
