from __future__ import annotations

import pytest

from provision.ansible.failure_causes import likely_cause

# Output of real programs, and a part of the cause that is reported.
OUTPUTS = (
    ("write /var/lib/containerd/x: no space left on device", "is full"),
    ("W: GPG error: http://m trixie InRelease: EXPKEYSIG 234654DA9A296436", "signed with a key"),
    (
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812",
        "another package manager",
    ),
    ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", "interrupted"),
    ("Temporary failure resolving 'pkgs.k8s.io'", "cannot resolve"),
    ("toomanyrequests: You have reached your pull rate limit", "refuses more pulls"),
    (
        "failed to pull image registry.k8s.io/pause:9: registry.k8s.io/pause:9: not found",
        "does not have that image",
    ),
    ("E: Failed to fetch http://192.168.77.1:8080/x  Could not connect", "cannot reach the source"),
    ("tls: x509: certificate has expired or is not yet valid", "clock"),
    ("x509: certificate signed by unknown authority", "another cluster"),
    ("could not find a JWS signature in the cluster-info ConfigMap for token ID", "token expired"),
    (
        'a Node with name "w1" and status "Ready" already exists in the cluster',
        "already has a node of that name",
    ),
    ("Get https://10.0.0.11:6443/: dial tcp 10.0.0.11:6443: connect: no route to host", "API server"),
    ("The kubelet is not healthy after 4m0.5s", "kubelet"),
    ("[ERROR Port-6443]: Port 6443 is in use", "uses a port"),
    ("running with swap on is not supported, please disable swap", "swap is on"),
    ("kubelet is configured to not run on a host using cgroup v1", "cgroup v1"),
    ("w1: default/db is held by its PodDisruptionBudget: needs 2 healthy pods", "blocks the eviction"),
    ("w1: default/x has no controller, so nothing would create it again", "would be lost"),
    ("fork: Cannot allocate memory", "out of memory"),
    ("sudo: a password is required", "password"),
    ("Host key verification failed.", "host key"),
    ("root@127.0.0.1: Permission denied (publickey).", "did not accept the SSH key"),
    ("not running after 180 s: pod client on cp1", "did not become ready"),
    ("no answer within 60 s: Service 10.96.0.9, pod on cp1 → pod on w1", "do not pass"),
)


@pytest.mark.parametrize(("output", "cause"), OUTPUTS)
def test_a_known_failure_is_reported_with_its_cause_and_a_fix(output: str, cause: str) -> None:
    found, fix = likely_cause("kubeadm join failed: it ended with status 1", [output])

    assert cause in found
    assert fix


def test_an_unknown_failure_is_not_guessed_at() -> None:
    assert likely_cause("no idea", ["what this is"]) == ("", "")


def test_a_lost_host_has_a_cause_even_without_output() -> None:
    cause, fix = likely_cause("", [], lost=True)

    assert "connection" in cause
    assert fix
