"""Everything that says where the API server is, made to say the same."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM, credentials
from ansible.module_utils.provision_host import (
    RUN_DIRECTORY,
    Changes,
    HostError,
    atomic_write,
    read,
    run,
)
from ansible.module_utils.provision_http import host_and_port
from ansible.module_utils.provision_kubeadm import cri_socket, kubeadm, phase_documents
from ansible.module_utils.provision_kubeconfig import give_kubeconfig
from ansible.module_utils.provision_lock import exclusive
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: api_endpoint
short_description: Make one part of a cluster or host name an endpoint of the API server
description:
  - C(configuration), on a control plane, writes kubeadm's ClusterConfiguration into the cluster.
  - C(certificate), on each control plane, renews its API server's certificate if it does not hold for the endpoint.
    The API server takes it without a restart.
  - C(pointers), on a control plane, corrects cluster-info, which tells new nodes, and what kube-proxy and Calico's
    node agents are updated; these are restarted.
  - C(kubeconfigs), on each host, corrects admin.conf and kubelet.conf, once the API server answers at the endpoint.
options:
  part: {description: What is corrected, type: str, required: true,
         choices: [configuration, certificate, pointers, kubeconfigs]}
  server: {description: "host:port of the endpoint", type: str, required: true}
  configuration: {description: ClusterConfiguration as YAML, type: str, default: ""}
  login_user: {description: "User who gets the corrected kubeconfig; empty: none", type: str, default: ""}
author: provision
"""

_SYSTEM = f"{KUBE_SYSTEM}/configmaps"
_CONFIG = f"{_SYSTEM}/kubeadm-config"
_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
_PROXY = f"{_SYSTEM}/kube-proxy"
_CALICO = f"{_SYSTEM}/kubernetes-services-endpoint"
_DAEMONS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
_NOTE = "provision/endpoint"  # annotation: what a ConfigMap was corrected to, and what its pods know
_HOME = Path("etc/kubernetes")
_SERVER = re.compile(r"^(\s*(?:- )?server:\s*).*$", re.MULTILINE)
_DIRECTORY = re.compile(r"^certificatesDir:.*$", re.MULTILINE)
_WAIT = 600  # seconds for another run
_ANSWERS = 180  # seconds until the endpoint answers: API servers look for a new certificate once a minute


def correct(wanted: dict[str, Any], changes: Changes) -> None:
    """Bring the part of the parameters to the endpoint."""
    part = wanted["part"]
    if part == "configuration":
        _configuration(Api(credentials()), wanted["configuration"], changes)
    elif part == "certificate":
        with exclusive("api-certificate", wait=_WAIT) as lock:
            _certificate(wanted["server"], changes, lock)
    elif part == "pointers":
        _pointers(Api(credentials()), wanted["server"], changes)
    else:
        _kubeconfigs(wanted, changes)


def pointed(kubeconfig: str, url: str) -> str:
    """The kubeconfig with that server."""
    return _SERVER.sub(lambda match: match.group(1) + url, kubeconfig)


def _configuration(api: Api, text: str, changes: Changes) -> None:
    found = api.get(_CONFIG)
    if not text or found is None or found["data"].get("ClusterConfiguration") == text:
        return
    changes.make(
        "corrected kubeadm's configuration in the cluster",
        lambda: api.merge(_CONFIG, {"data": {"ClusterConfiguration": text}}),
        path="kubeadm-config",
        before=found["data"].get("ClusterConfiguration", ""),
        after=text,
    )


def _pointers(api: Api, server: str, changes: Changes) -> None:
    host, port = host_and_port(server)
    _point(api, _INFO, {"kubeconfig": lambda text: pointed(text, f"https://{server}")}, server, changes)
    _point(api, _PROXY, {"kubeconfig.conf": lambda text: pointed(text, f"https://{server}")}, server, changes)
    calico = {"KUBERNETES_SERVICE_HOST": lambda _: host, "KUBERNETES_SERVICE_PORT": lambda _: str(port)}
    _point(api, _CALICO, calico, server, changes)
    for configuration, daemons in ((_PROXY, "kube-proxy"), (_CALICO, "calico-node")):
        _restart_old(api, configuration, daemons, changes)


def _point(api: Api, path: str, keys: dict[str, Callable[[str], str]], server: str, changes: Changes) -> None:
    """Correct those keys of a ConfigMap; one that is not there, or has them not, is left alone."""
    data = (api.get(path) or {}).get("data", {})
    after = {key: correct(data[key]) for key, correct in keys.items() if key in data}
    before = {key: data[key] for key in after}
    if before == after:
        return
    name = path.rpartition("/")[2]
    changes.make(
        f"corrected the ConfigMap {name}",
        lambda: api.merge(path, {"metadata": {"annotations": {_NOTE: server}}, "data": after}),
        path=name,
        before="\n".join(before.values()),
        after="\n".join(after.values()),
    )


def _restart_old(api: Api, path: str, daemons: str, changes: Changes) -> None:
    """Pods read the ConfigMap when they start; what is noted at both tells whether they have since it was corrected."""
    configuration, found = api.get(path), api.get(f"{_DAEMONS}/{daemons}")
    if configuration is None or found is None:
        return
    wanted = (configuration["metadata"].get("annotations") or {}).get(_NOTE, "")
    noted = (found["spec"]["template"]["metadata"].get("annotations") or {}).get(_NOTE, "")
    if wanted != noted:
        note = {"spec": {"template": {"metadata": {"annotations": {_NOTE: wanted}}}}}
        changes.make(f"restarted {daemons}", lambda: api.merge(f"{_DAEMONS}/{daemons}", note))


def _certificate(server: str, changes: Changes, lock: int, *, root: Path = Path("/")) -> None:
    """Sign a new one beside the old, then put it into its place: the API server never misses its files."""
    pki = root / _HOME / "pki"
    if not (root / _HOME / "manifests/kube-apiserver.yaml").exists() or _holds(pki, host_and_port(server)[0]):
        return
    if not (pki / "ca.key").exists():
        raise HostError(
            "the API server's certificate does not hold for the endpoint, and the authority's key is not on "
            "this host to sign another: put one that does into /etc/kubernetes/pki/apiserver.crt and .key"
        )
    changes.make(
        f"renewed the API server's certificate for {host_and_port(server)[0]}", lambda: _sign(pki, lock)
    )


def _holds(pki: Path, name: str) -> bool:
    """Whether a client that trusts the authority takes the API server's certificate for `name`: the two meet here."""
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.create_default_context(cafile=pki / "ca.crt"),
    )
    try:
        server.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    except (OSError, ssl.SSLError):  # missing, or not a pair after a crash
        return False
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    answering = server.wrap_bio(there, back, server_side=True)
    asking = client.wrap_bio(back, there, server_hostname=name)
    while True:
        try:
            asking.do_handshake()
        except ssl.SSLWantReadError:
            with contextlib.suppress(ssl.SSLWantReadError):
                answering.do_handshake()
        except ssl.SSLCertVerificationError:
            return False
        else:
            return True


def _sign(pki: Path, lock: int) -> None:
    access = credentials()
    init, cluster = phase_documents(
        Api(access),
        access.host,
        localAPIEndpoint={"advertiseAddress": access.host, "bindPort": access.port},
        nodeRegistration={"criSocket": cri_socket(), "name": os.uname().nodename.lower()},
    )
    fresh = RUN_DIRECTORY / "api-certificate"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    try:
        for name in ("ca.crt", "ca.key"):
            shutil.copy2(pki / name, fresh / name)
        cluster = _DIRECTORY.sub(f"certificatesDir: {fresh}", cluster)
        kubeadm(["init", "phase", "certs", "apiserver"], [init, cluster], lock=lock, name="api-certificate")
        for name, mode in (("apiserver.key", 0o600), ("apiserver.crt", 0o644)):
            atomic_write(pki / name, (fresh / name).read_text(encoding="ascii"), mode=mode)
    finally:
        shutil.rmtree(fresh)


def _kubeconfigs(wanted: dict[str, Any], changes: Changes, *, root: Path = Path("/")) -> None:
    url = f"https://{wanted['server']}"
    home = root / _HOME
    files = [home / "admin.conf", home / "super-admin.conf"]
    control_plane = (home / "manifests/kube-apiserver.yaml").exists()
    kubelet = home / "kubelet.conf"
    moves = _astray(kubelet, url, own=credentials(root).host if control_plane else "")
    if not moves and not any(_astray(file, url) for file in files):
        return
    if not changes.dry:
        _wait_for_answer(wanted["server"], home / "pki/ca.crt")
    for file in files:
        if _astray(file, url):
            changes.file(file, pointed(read(file) or "", url), sentence=f"corrected {file}")
    give_kubeconfig(wanted["login_user"] if control_plane else "", changes, root=root)
    if moves:
        changes.file(kubelet, pointed(read(kubelet) or "", url), sentence=f"corrected {kubelet}")
        changes.make("restarted kubelet.service", lambda: run(["systemctl", "restart", "kubelet.service"]))


def _astray(path: Path, url: str, *, own: str = "") -> bool:
    """Whether a kubeconfig is there and names another server, neither the endpoint nor the host's `own`."""
    match = _SERVER.search(read(path) or "")
    if match is None:
        return False
    server = match.group(0).partition("server:")[2].strip().strip("\"'")
    return bool(server != url and not (own and host_and_port(server.partition("//")[2])[0] == own))


def _wait_for_answer(server: str, authority: Path) -> None:
    """Return when the API server answers there with a certificate that holds; HostError says why it does not."""
    host, port = host_and_port(server)
    context = ssl.create_default_context(cafile=str(authority))
    deadline = time.monotonic() + _ANSWERS
    while True:
        try:
            with socket.create_connection((host, port), timeout=10) as plain:
                context.wrap_socket(plain, server_hostname=host).close()
        except OSError as error:  # ssl's errors are some of these
            if time.monotonic() > deadline:
                raise HostError(
                    f"the API server does not answer at {server}: {error}; is it the right address, and does the "
                    "load balancer behind it know the control planes?"
                ) from error
            time.sleep(2)
        else:
            return


if __name__ == "__main__":
    run_module(
        {
            "part": {
                "type": "str",
                "required": True,
                "choices": ["configuration", "certificate", "pointers", "kubeconfigs"],
            },
            "server": {"type": "str", "required": True},
            "configuration": {"type": "str", "default": ""},
            "login_user": {"type": "str", "default": ""},
        },
        correct,
    )
