"""Why a step failed, in words: signatures of failures that users meet, with the likely cause and the way out.

Pure: text in, text out. One row a failure; the first that matches counts, so the special ones come first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIGNATURES: tuple[tuple[str, str, str], ...] = (
    (
        r"held by its PodDisruptionBudget",
        "a PodDisruptionBudget does not let pods go; the nodes are uncordoned again",
        "run more pods of that workload elsewhere, or relax the budget, and run the command again",
    ),
    (
        r"has no controller, so nothing would make it anew",
        "pods would be lost with the node; the nodes are uncordoned again",
        "delete the pods, or accept that they end: --force",
    ),
    (
        r"no space left on device",
        "a file system of the host is full",
        "look at it with `df -h`, make room, and run the command again",
    ),
    (
        r"read-only file system",
        "a file system of the host is read-only",
        "remount or repair it and run the command again",
    ),
    (
        r"EXPKEYSIG|signatures? (?:were|was) invalid|NO_PUBKEY|is not signed",
        "the package repository is signed with a key that is expired or not the expected one",
        "check mirror.packages and mirror.packages_key in the cluster file, or the clock of the host",
    ),
    (
        r"could not get lock|is held by process|unable to acquire the dpkg frontend lock",
        "another package manager is running on the host (often unattended-upgrades)",
        "wait until it is done and run the command again",
    ),
    (
        r"dpkg was interrupted|unmet dependencies|half-configured",
        "an earlier package installation was cut off on the host",
        "run `sudo dpkg --configure -a && sudo apt-get -f install` there, then the command again",
    ),
    (
        r"temporary failure resolving|could not resolve|name or service not known|no such host",
        "the host cannot resolve a name",
        "check DNS on the host (/etc/resolv.conf), or name a mirror in the cluster file",
    ),
    (
        r"toomanyrequests|429 too many requests",
        "the registry refuses more pulls for now",
        "wait, or name a mirror in the cluster file (mirror.images)",
    ),
    (
        r"(?:failed to pull|pulling) .*(?:not found|manifest unknown)|manifest unknown",
        "the registry does not have that image",
        "check mirror.images in the cluster file: the mirror must hold it under its public name",
    ),
    (
        r"connection refused.*:(?:5000|8080|443|80)\b|could not connect to .*:\d+|failed to (?:fetch|download)",
        "the host cannot reach the place where packages, images or manifests come from",
        "check the network and proxy of the host, or the mirror in the cluster file",
    ),
    (
        r"could not find a JWS signature|bootstrap token is not valid|token id .* is invalid",
        "the bootstrap token was gone before the host could use it; a clock may be wrong",
        "compare the clocks of the hosts and run the command again: it makes a new token",
    ),
    (
        r"a Node with name .* already exists",
        "the cluster has a node of that name already",
        "choose another name for the host; if it takes the place of that node: `provision node replace NAME`",
    ),
    (
        r"dial tcp .*:6443|endpoint cannot be reached|context deadline exceeded.*:6443",
        "the host cannot reach the API server at the cluster's endpoint",
        "check endpoint in the cluster file, the load balancer behind it, and firewalls (6443/tcp)",
    ),
    (
        r"kubelet (?:is not (?:running|healthy)|does not start)",
        "the kubelet of the host does not start",
        "look at `sudo journalctl -u kubelet -n 50` there",
    ),
    (
        r"an image cannot be pulled|ErrImagePull|ImagePullBackOff|failed to pull image",
        "the host cannot pull an image",
        "try `sudo crictl pull IMAGE` there; check its network and proxy, or mirror.images in the cluster file",
    ),
    (
        r"not running after \d+ s: pod",
        "a pod did not become ready in time: its node is short of CPU, or has no working pod network",
        "look at `kubectl get pods -A -o wide`; restarts of calico-node or etcd mean that the machine is too slow",
    ),
    (
        r"no answer within \d+ s: (?:Service|cluster DNS)",
        "packets do not cross between the nodes",
        "open 4789/udp (VXLAN) between the hosts, or look for a firewall or another network plugin on them",
    ),
    (
        r"x509: certificate (?:has expired|is not yet valid)|certificate is not yet valid",
        "a certificate is outside its time of validity; usually a clock is wrong",
        "compare the clocks of the hosts and run the command again",
    ),
    (
        r"x509: certificate signed by unknown authority|ca certificate .*hash|cluster CA found in",
        "the host spoke to an API server of another cluster",
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
        "sudo wants a password and did not get the right one",
        "run the command again and give it, or allow the user to use sudo without one",
    ),
    (
        r"host key verification failed|remote host identification has changed",
        "the host shows another SSH host key than the known one",
        "find out why; if the machine is new, write its key to host_key in the cluster file or to known_hosts",
    ),
    (
        r"permission denied \(publickey",
        "the host did not accept the SSH key",
        "check ssh.user and ssh.key in the cluster file",
    ),
)
_LOST = (
    "the SSH connection to the host broke or could not be made",
    "check that the machine runs; then the command again",
)


def explain(message: str, lines: Sequence[str], *, lost: bool = False) -> tuple[str, str]:
    """The likely cause and the fix for a failure's message and last lines; two empty texts where we do not know.

    `lost` says that the host could not be reached any more.
    """
    text = "\n".join([message, *lines])
    for pattern, cause, fix in _SIGNATURES:
        if re.search(pattern, text, re.IGNORECASE):
            return cause, fix
    return _LOST if lost else ("", "")
