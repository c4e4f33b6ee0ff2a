"""Calico from its pinned manifest, applied by talking to the API server directly.

The manifest's digest is known, so its text is known: what has to be different is replaced as text, and each
replacement must fit exactly once. The API server takes YAML as it is, so nothing has to parse it.
"""

from __future__ import annotations

import hashlib
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM, credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_http import host_and_port
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTATION = r"""
module: calico_manifest
short_description: Apply Calico's pinned manifest
description:
  - Runs on a control plane. Fetches the manifest, refuses it if its digest differs, sets pod range and
    encapsulation, applies it server-side, and notes in the ConfigMap kube-system/provision what was applied.
  - Calico's address of a node is the one that the kubelet reported, whatever others the host has.
  - With VXLAN the kubelet asks Calico's node agents itself how they are, instead of starting a program that asks.
  - Calico's node agents reach the API server at O(endpoint), as the kubelets do. Through the Service they would
    have to wait for kube-proxy, and on a new node both start at once - the agent fails then and is backed off.
options:
  endpoint: {description: "Address of the API server, C(host:port)", type: str, required: true}
  url: {description: Where the manifest is, type: str, required: true}
  sha256: {description: Digest of the manifest, type: str, required: true}
  version: {description: Version of Calico, type: str, required: true}
  pod_cidr: {description: Range of the pods, type: str, required: true}
  encapsulation:
    description: How packets between nodes are wrapped
    type: str
    choices: [vxlan, vxlan-cross-subnet, ipip, ipip-cross-subnet, none]
    required: true
  dataplane:
    description: What Felix makes its rules with; the mode of kube-proxy must be the same
    type: str
    choices: [iptables, nftables]
    default: iptables
author: provision
"""

NOTE = f"{KUBE_SYSTEM}/configmaps/provision"
ENDPOINT = f"{KUBE_SYSTEM}/configmaps/kubernetes-services-endpoint"  # the manifest reads it
_DAEMON_SET = "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node"
_TRIES = 3
# encapsulation: backend, CALICO_IPV4POOL_IPIP, CALICO_IPV4POOL_VXLAN
_ENCAPSULATION = {
    "vxlan": ("vxlan", "Never", "Always"),
    "vxlan-cross-subnet": ("vxlan", "Never", "CrossSubnet"),
    "ipip": ("bird", "Always", "Never"),
    "ipip-cross-subnet": ("bird", "CrossSubnet", "Never"),
    "none": ("bird", "Never", "Never"),
}
_PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "CustomResourceDefinition": "customresourcedefinitions",
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}


def provide(wanted: dict[str, Any], changes: Changes) -> None:
    api = Api(credentials())
    note = {
        "calico": wanted["version"],
        "manifest_sha256": wanted["sha256"],
        "pod_cidr": wanted["pod_cidr"],
        "encapsulation": wanted["encapsulation"],
        "dataplane": wanted["dataplane"],
    }
    present = (api.get(NOTE) or {}).get("data") or {}
    _refuse_other_network(present, note)
    # Releases that knew only iptables did not note it.
    applied = {"dataplane": "iptables", **{key: present[key] for key in note if key in present}}
    if applied == note and api.get(_DAEMON_SET) is not None:
        return
    documents = list(split(configured(fetch(wanted["url"], wanted["sha256"]), wanted)))

    def effect() -> None:
        api.apply(ENDPOINT, _config_map("kubernetes-services-endpoint", endpoint_data(wanted["endpoint"])))
        for path, text in documents:
            api.apply(path, text)
        api.apply(NOTE, _config_map("provision", note))

    changes.make(f"applied the {len(documents)} objects of Calico {wanted['version']}", effect)


def endpoint_data(endpoint: str) -> dict[str, str]:
    """`[::1]:6443` as the variables that the manifest takes from its ConfigMap."""
    host, port = host_and_port(endpoint)
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}


def fetch(url: str, sha256: str) -> str:
    """The manifest at `url`, if its digest is `sha256`."""
    for attempt in range(_TRIES):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                data: bytes = answer.read()
            break
        except OSError as error:
            if attempt == _TRIES - 1:
                raise HostError(f"cannot fetch Calico's manifest {url}: {error}") from error
            time.sleep(1 + attempt)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise HostError(f"{url} has the digest sha256:{found}, but sha256:{sha256} is expected")
    return data.decode()


def configured(manifest: str, wanted: dict[str, Any]) -> str:
    """The manifest with pod range and encapsulation of the cluster file."""
    backend, ipip, vxlan = _ENCAPSULATION[wanted["encapsulation"]]
    if f'calico_backend: "{backend}"' not in manifest:
        raise HostError(
            f"encapsulation {wanted['encapsulation']} needs a manifest with the backend {backend}"
        )
    text = _replaced(
        manifest,
        r'# - name: CALICO_IPV4POOL_CIDR\n( +)#   value: "[^"]+"',
        rf'- name: CALICO_IPV4POOL_CIDR\n\1  value: "{wanted["pod_cidr"]}"',
    )
    # By default the first address of the first interface, which may be a virtual one that soon is another host's.
    text = _replaced(
        text,
        r'( +)- name: IP\n +value: "autodetect"\n',
        r'\g<0>\1- name: IP_AUTODETECTION_METHOD\n\1  value: "kubernetes-internal-ip"\n',
    )
    for variable, value in (("IPIP", ipip), ("VXLAN", vxlan)):
        name = f"- name: CALICO_IPV4POOL_{variable}"
        text = _replaced(text, rf'({name}\n +value: )"[^"]+"', rf'\1"{value}"')
    if wanted["dataplane"] == "nftables":
        text = _replaced(
            text,
            r"( +)- name: FELIX_HEALTHENABLED\n",
            r'\1- name: FELIX_NFTABLESMODE\n\1  value: "Enabled"\n\g<0>',
        )
    return _asked_by_http(text) if backend == "vxlan" else text


def _asked_by_http(text: str) -> str:
    """Felix's probes as requests that the kubelet makes, instead of programs started to make the same requests.

    A program in the container costs a run of runc, twice in ten seconds, and on a busy small node it takes longer
    than the ten seconds that it has; then calico-node is killed. With BIRD there is no such request to make.
    """
    for option, path in (("felix-live", "liveness"), ("felix-ready", "readiness")):
        program = rf"exec:\n( +)command:\n +- /bin/calico-node\n +- -{option}\n(?! +- )"
        request = rf"httpGet:\n\1host: 127.0.0.1\n\1path: /{path}\n\1port: 9099\n"
        text = _replaced(text, program, request)
    # Felix is ready a second or two after its start, and a request costs nothing: a new node need not wait for ten.
    return _replaced(text, r"(path: /readiness\n +port: 9099\n +periodSeconds:) 10\n", r"\1 2\n")


def split(manifest: str) -> Iterator[tuple[str, str]]:
    """Path in the API and text of each object, in the manifest's order."""
    for text in re.split(r"^---\s*$", manifest, flags=re.MULTILINE):
        kind = _top(text, r"^kind: (\S+)")
        if kind is None:
            continue  # only comments
        if kind not in _PLURALS:
            raise HostError(f"Calico's manifest has an object of kind {kind}, which is not known here")
        version = _top(text, r"^apiVersion: (\S+)") or ""
        name = _top(text, r"^metadata:\n(?:  .*\n)*?  name: (\S+)")
        namespace = _top(text, r"^metadata:\n(?:  .*\n)*?  namespace: (\S+)")
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        yield f"{root}{place}/{_PLURALS[kind]}/{name}", text


def _refuse_other_network(present: dict[str, str], wanted: dict[str, str]) -> None:
    for key, word in (
        ("pod_cidr", "pod range"),
        ("encapsulation", "encapsulation"),
        ("dataplane", "dataplane"),
    ):
        if present.get(key, wanted[key]) != wanted[key]:
            raise HostError(
                f"the {word} of this cluster is {present[key]} and cannot be changed to {wanted[key]}: "
                "write the old value into the file"
            )


def _replaced(text: str, pattern: str, by: str) -> str:
    result, count = re.subn(pattern, by, text)
    if count != 1:
        raise HostError(f"Calico's manifest is not as expected: {pattern!r} fits {count} times, not once")
    return result


def _top(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else None


def _config_map(name: str, data: dict[str, str]) -> str:
    lines = "".join(f'  {key}: "{value}"\n' for key, value in sorted(data.items()))
    head = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: kube-system\n"
    return f"{head}data:\n{lines}"


if __name__ == "__main__":
    run_module(
        {
            "endpoint": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "pod_cidr": {"type": "str", "required": True},
            "encapsulation": {"type": "str", "required": True, "choices": list(_ENCAPSULATION)},
            "dataplane": {"type": "str", "default": "iptables", "choices": ["iptables", "nftables"]},
        },
        provide,
    )
