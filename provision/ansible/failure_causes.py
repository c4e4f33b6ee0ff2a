"""Likely causes of failed steps and their fixes, by signatures in the failure's text.

Pure: text in, text out. One row per failure; the first that matches counts, so special ones come first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNATURES: tuple[tuple[str, str, str], ...] = (
    (
        r"held by its PodDisruptionBudget",
        "a PodDisruptionBudget blocks the eviction of pods; the nodes are uncordoned again",
        "run more pods of that workload elsewhere, or relax the budget, and run the command again",
    ),
    (
        r"\bhas no controller, so\b",
        "pods would be lost with the node; the nodes are uncordoned again",
        "delete the pods, or let them end with --force",
    ),
    (
        r"no space left on device",
        "a file system of the host is full",
        "check it with `df -h`, free space, and run the command again",
    ),
    (
        r"read-only file system",
        "a file system of the host is read-only",
        "remount or repair it and run the command again",
    ),
    (
        r"EXPKEYSIG|signatures? (?:were|was) invalid|NO_PUBKEY|is not signed|GPG check FAILED|OpenPGP check failed",
        "the package repository is signed with a key that is expired or not the expected one",
        "check mirror.packages and mirror.packages_key in the cluster file, or the clock of the host",
    ),
    (
        r"could not get lock|is held by process|acquire the dpkg frontend lock|another package manager is running",
        "another package manager is running on the host (often unattended-upgrades or dnf-automatic)",
        "wait until it is done and run the command again",
    ),
    (
        r"dpkg was interrupted|unmet dependencies|half-configured",
        "an earlier package installation was interrupted on the host",
        "run `sudo dpkg --configure -a && sudo apt-get -f install` there, then the command again",
    ),
    (
        r"unable to find a match|no match for argument",
        "no package repository of the host has a package that is needed",
        "register a RHEL first (subscription-manager); else enable BaseOS and AppStream, or check mirror.packages",
    ),
    (
        r"temporary failure resolving|could not resolve|name or service not known|no such host",
        "the host cannot resolve a name",
        "check DNS on the host (/etc/resolv.conf), or name a mirror in the cluster file",
    ),
    (
        r"toomanyrequests|429 too many requests",
        "the registry refuses more pulls for now (rate limit)",
        "wait, or name a mirror in the cluster file (mirror.images)",
    ),
    (
        r"(?:failed to pull|pulling) .*(?:not found|manifest unknown)|manifest unknown",
        "the registry does not have that image",
        "check mirror.images in the cluster file: the mirror must have it under its public name",
    ),
    (
        r"connection refused.*:(?:5000|8080|443|80)\b|could not connect to .*:\d+|failed to (?:fetch|download)",
        "the host cannot reach the source of packages, images or manifests",
        "check the network and proxy of the host, or the mirror in the cluster file",
    ),
    (
        r"could not find a JWS signature|bootstrap token is not valid|token id .* is invalid",
        "the bootstrap token expired before the host could use it; a clock may be wrong",
        "compare the clocks of the hosts and run the command again: it creates a new token",
    ),
    (
        r"a Node with name .* already exists",
        "the cluster already has a node of that name",
        "choose another name for the host; if it replaces that node: `provision node replace NAME`",
    ),
    (
        r"dial tcp .*:6443|endpoint cannot be reached|context deadline exceeded.*:6443",
        "the host cannot reach the API server at the cluster's endpoint",
        "check endpoint in the cluster file, the load balancer behind it, and firewalls (6443/tcp)",
    ),
    (
        r"kubelet (?:is not (?:running|healthy)|does not start)",
        "the kubelet of the host does not start",
        "check `sudo journalctl -u kubelet -n 50` there",
    ),
    (
        r"an image cannot be pulled|ErrImagePull|ImagePullBackOff|failed to pull image",
        "the host cannot pull an image",
        "try `sudo crictl pull IMAGE` there; check its network and proxy, or mirror.images in the cluster file",
    ),
    (
        r"not running after \d+ s: pod",
        "a pod did not become ready in time: its node is short of CPU, or has no working pod network",
        "check `kubectl get pods -A -o wide`; restarts of calico-node or etcd mean that the machine is too slow",
    ),
    (
        r"no answer within \d+ s: (?:Service|cluster DNS)",
        "packets do not pass between the nodes",
        "open 4789/udp (VXLAN) between the hosts, and check them for firewalls or another network plugin",
    ),
    (
        r"x509: certificate (?:has expired|is not yet valid)|certificate is not yet valid",
        "a certificate is outside its validity period; usually a clock is wrong",
        "compare the clocks of the hosts and run the command again",
    ),
    (
        r"x509: certificate signed by unknown authority|ca certificate .*hash|cluster CA found in",
        "the host reached the API server of another cluster",
        "check endpoint and the addresses of the control planes in the cluster file",
    ),
    (
        r"swap (?:is|on)|running with swap on is not supported",
        "swap is on again on the host",
        "run the command again: it turns swap off; if it comes back, find what turns it on",
    ),
    (
        r"cgroup ?v1|cgroups v1|failCgroupV1",
        "the host uses cgroup v1, which this Kubernetes refuses",
        "boot it with systemd.unified_cgroup_hierarchy=1",
    ),
    (
        r"port (?:\d+) is in use|address already in use|Port-\d+",
        "another program on the host uses a port that Kubernetes needs",
        "find it with `sudo ss -tlnp`, stop it, and run the command again",
    ),
    (
        r"oom-kill|out of memory|cannot allocate memory",
        "the host ran out of memory",
        "give it more memory (a control plane needs 2 GiB) and run the command again",
    ),
    (
        r"missing sudo password|a password is required|incorrect sudo password|sorry, try again",
        "sudo requires a password and did not get the right one",
        "run the command again and enter it, or allow the user sudo without one",
    ),
    (
        r"host key verification failed|remote host identification has changed",
        "the host offers an SSH host key that differs from the known one",
        "find out why; if the machine is new, write its key to host_key in the cluster file or to known_hosts",
    ),
    (
        r"permission denied \(publickey",
        "the host did not accept the SSH key",
        "check ssh.user and ssh.key in the cluster file",
    ),
)
_LOST = (
    "the SSH connection to the host was lost or could not be opened",
    "check that the machine runs, then run the command again",
)


def likely_cause(message: str, lines: Sequence[str], *, lost: bool = False) -> tuple[str, str]:
    """The likely cause of a failure and its fix, by its message and last lines; two empty texts if unknown.

    `lost`: the connection to the host was lost.
    """
    text = "\n".join([message, *lines])
    for pattern, cause, fix in _SIGNATURES:
        if re.search(pattern, text, re.IGNORECASE):
            return cause, fix
    return _LOST if lost else ("", "")
