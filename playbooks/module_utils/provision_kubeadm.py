"""kubeadm on a host: once at a time, its configuration in a file that goes away, its failures explained.

A marker under /var/lib/provision says that an init or a join has begun; it goes when that is complete. A run
that finds it knows that an earlier one was cut off there, whatever cut it off.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api_connection import KUBE_SYSTEM
from ansible.module_utils.provision_certificates import from_pem, public_key_hash
from ansible.module_utils.provision_files import text_of, yaml_value
from ansible.module_utils.provision_host import (
    RUN_DIRECTORY,
    STATE_DIRECTORY,
    Completed,
    HostError,
    Run,
    atomic_write,
    read,
    redact,
    run,
    secret_file,
)
from ansible.module_utils.provision_kubernetes import runtime_endpoint
from ansible.module_utils.provision_redhat import label_after, label_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.module_utils.provision_api import Api

PREFLIGHT = "kubeadm preflight"  # a failure begins with it where kubeadm's checks found something
LIMIT = 1200  # seconds; kubeadm's own time-outs are shorter and say more
_DEFAULT_SOCKET = "unix:///run/containerd/containerd.sock"
KEEP_CERTIFICATES = "/etc/kubernetes/pki held certificates before\n"
_JOURNAL = ["journalctl", "--unit=kubelet", "--lines=8", "--no-pager", "--output=cat"]
_POD_LOGS = Path("/var/log/pods")
_COMPLAINT = re.compile(r" [EF]\d{4} |panic|[Ee]rror|\"level\":\"(?:warn|error|fatal|panic)\"")
_CAUSES = (
    (r"running with swap on is not supported", "swap is on"),
    (r"failed to pull image|ErrImagePull|ImagePullBackOff", "an image cannot be pulled"),
    (r"could not find a JWS signature|token id .* is invalid", "the bootstrap token is not valid (any more)"),
    (
        r"none of the public keys .* are pinned",
        "the endpoint belongs to another cluster: its CA is not the pinned one",
    ),
    (
        r"x509: certificate signed by unknown authority",
        "the endpoint belongs to another cluster: its CA differs",
    ),
    (
        r"Status from runtime service failed|container runtime is not running",
        "the container runtime is not running",
    ),
    (r"no space left on device", "the disk is full"),
    (
        r"connection refused|no route to host|i/o timeout",
        "the API server's endpoint cannot be reached from here",
    ),
    (r"kubelet is not (?:running|healthy)", "the kubelet does not start"),
)


def ca_hash(pem: str) -> str:
    """`sha256:<hex>` of the first certificate's public key, by which kubeadm pins a cluster's authority."""
    certificate = from_pem(pem)
    if not certificate:
        raise HostError("the certificate authority's file holds no certificate")
    return public_key_hash(certificate)


def cri_socket(root: Path = Path("/")) -> str:
    """URL of the CRI socket of this node, or on a host that is none yet the one that crictl is configured for."""
    base = str(root).rstrip("/")
    configured = yaml_value(text_of(base + "/etc/crictl.yaml"), "runtime-endpoint")
    return runtime_endpoint(base) or configured or _DEFAULT_SOCKET


def marker(verb: str) -> Path:
    """The file that exists from the beginning of `verb` (init, join) until it is complete."""
    return Path(STATE_DIRECTORY, f"{verb}-started")


def end(verb: str) -> None:
    """Take the marker away, once what kubeadm wrote is on the disk: kubeadm itself does not wait for that."""
    if marker(verb).exists():
        label_after(Path("/"), run)
        os.sync()
        marker(verb).unlink()


def begin(verb: str, *, root: Path = Path("/")) -> None:
    """Write the marker; HostError if the host holds a cluster's data that is not ours to undo later."""
    stale = [
        path
        for pattern in ("etc/kubernetes/*.conf", "etc/kubernetes/manifests/*.yaml", "var/lib/etcd/member")
        for path in sorted(root.glob(pattern))
    ]
    if stale:
        raise HostError(
            f"{stale[0]} is left from an earlier cluster: `kubeadm reset` removes it, if it is not needed",
            lines=[str(path) for path in stale],
        )
    own_certificates = any((root / "etc/kubernetes/pki").glob("*"))
    atomic_write(marker(verb), KEEP_CERTIFICATES if own_certificates else f"kubeadm {verb} was begun\n")
    label_before(root, run)


def kubeadm(
    arguments: Sequence[str],
    documents: Sequence[dict[str, Any] | str],
    *,
    lock: int,
    name: str = "",
    run: Run = run,
) -> Completed:
    """Run kubeadm with a configuration of these documents (data, or YAML text). HostError says why it failed.

    `lock` is the descriptor of the held lock: kubeadm keeps it if this module is killed. `name` is the verb
    that holds it, where that is not the first argument.
    """
    text = "---\n".join(
        document.rstrip() + "\n" if isinstance(document, str) else json.dumps(document) + "\n"
        for document in documents
    )
    with secret_file(f"{name or arguments[0]}.yaml", text, directory=RUN_DIRECTORY) as path:
        argv = ["kubeadm", *arguments, f"--config={path}"]
        done = run(argv, timeout=LIMIT, keep_open=[lock], check=False)
        if done.status != 0:
            raise explain(done, run)
        return done


def phase_documents(api: Api, address: str, **settings: Any) -> tuple[dict[str, Any], str]:
    """Configuration of a phase of kubeadm init: `settings` in an InitConfiguration, and what the cluster was made with.

    `address` is that of this control plane's API server.
    """
    found = api.get(f"{KUBE_SYSTEM}/configmaps/kubeadm-config")
    if found is None:
        raise HostError("the cluster has no ConfigMap kubeadm-config: was it made by kubeadm?")
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": address},
        "nodeRegistration": {"criSocket": cri_socket()},
        **settings,
    }
    return init, found["data"]["ClusterConfiguration"]


def reset(verb: str, *, lock: int, run: Run = run) -> None:
    """Undo what a cut-off init or join of this host has done; certificates that were there before stay."""
    argv = ["kubeadm", "reset", "--force", f"--cri-socket={cri_socket()}"]
    if read(marker(verb)) == KEEP_CERTIFICATES:
        argv.append(f"--cert-dir={RUN_DIRECTORY}/no-certificates")
    run(argv, timeout=LIMIT, keep_open=[lock])
    marker(verb).unlink(missing_ok=True)


def enable_kubelet(run: Run = run) -> None:
    """Let the kubelet start at boot; kubeadm itself only starts it."""
    if run(["systemctl", "is-enabled", "--quiet", "kubelet.service"], check=False).status != 0:
        run(["systemctl", "enable", "--quiet", "kubelet.service"])


def explain(done: Completed, run: Run = run) -> HostError:
    """What made kubeadm fail: its own words, then the kubelet's, then those of containers that ended."""
    text = done.out + "\n" + done.err
    preflight = [" ".join(pair) for pair in re.findall(r"\[ERROR ([^\]]+)\]: (.+)", text)]
    if preflight:
        return HostError(f"{PREFLIGHT}: {'; '.join(preflight)}", command=done.argv, lines=preflight)
    lines = [line for line in done.last_lines(30) if not _is_noise(line)][-8:]
    lines += run(_JOURNAL, check=False).last_lines(6)
    lines += _complaints()
    everything = text + "\n".join(lines)
    cause = next((cause for pattern, cause in _CAUSES if re.search(pattern, everything)), "")
    errors = [line for line in done.err.splitlines() if line.startswith("error")]
    said = redact(errors[-1]) if errors else f"it ended with status {done.status}"
    verb = " ".join(done.argv[:2])
    return HostError(
        f"{verb} failed: {cause}; {said}" if cause else f"{verb} failed: {said}",
        command=done.argv,
        lines=lines,
    )


def _is_noise(line: str) -> bool:
    return line.startswith(("To see the stack trace", "\t- 'crictl", "Here is one example", "goroutine"))


def _complaints(logs: Path = _POD_LOGS) -> list[str]:
    """The last complaint of each container of the control plane; read from files, because crictl may be missing."""
    lines = []
    for container in sorted(logs.glob("kube-system_*/*")):
        files = sorted(container.glob("*.log"), key=lambda path: path.stat().st_mtime)
        if files:
            text = files[-1].read_text(encoding="utf-8", errors="replace")
            found = [line for line in text.splitlines()[-200:] if _COMPLAINT.search(line)]
            # The runtime puts time, stream and a tag before every line.
            lines += [f"{container.name}: {line.split(' ', 3)[-1]}" for line in found[-1:]]
    return lines
