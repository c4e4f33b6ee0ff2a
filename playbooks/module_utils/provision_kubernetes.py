"""What kubeadm left on a host: its cluster and role, and when its certificates expire."""

from __future__ import annotations

import binascii
import os

from ansible.module_utils import provision_certificates as x509
from ansible.module_utils.provision_files import names, text_of, yaml_value

_KUBECONFIGS = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")


def kubernetes(root: str) -> dict[str, object]:
    home = root + "/etc/kubernetes"
    manifests = {
        name[: -len(".yaml")]: yaml_value(text_of(f"{home}/manifests/{name}"), "image")
        for name in names(home + "/manifests", ".yaml")
    }
    authority = text_of(home + "/pki/ca.crt")
    kubelet = text_of(home + "/kubelet.conf")
    return {
        "ca": authority if x509.from_pem(authority) else "",
        "kubelet_server": yaml_value(kubelet, "server"),
        "admin_server": yaml_value(text_of(home + "/admin.conf"), "server"),
        "names": x509.names(x509.from_pem(text_of(home + "/pki/apiserver.crt"))),
        "joined": bool(kubelet),
        "admin": os.path.exists(home + "/admin.conf"),
        "manifests": manifests,
        "markers": names(root + "/var/lib/provision"),
        "etcd_data": os.path.isdir(root + "/var/lib/etcd/member"),
        "certificates": _expiries(root, home),
        "runtime_endpoint": runtime_endpoint(root),
    }


def runtime_endpoint(root: str) -> str:
    """URL of the CRI socket that kubeadm configured for the kubelet; "" on a host that is no node.

    kubeadm 1.34 and newer keep it in a file of the kubelet's configuration, older ones in the kubelet's flags.
    """
    found = yaml_value(text_of(root + "/var/lib/kubelet/instance-config.yaml"), "containerRuntimeEndpoint")
    flags = text_of(root + "/var/lib/kubelet/kubeadm-flags.env")
    _, _, flag = flags.partition("--container-runtime-endpoint=")
    return found or flag.strip(' "\n').partition(" ")[0].strip('"')


def _expiries(root: str, home: str) -> dict[str, str]:
    texts = {name[:-4]: text_of(f"{home}/pki/{name}") for name in names(home + "/pki", ".crt")}
    for name in names(home + "/pki/etcd", ".crt"):
        texts["etcd/" + name[:-4]] = text_of(f"{home}/pki/etcd/{name}")
    for name in _KUBECONFIGS:
        data = yaml_value(text_of(f"{home}/{name}"), "client-certificate-data")
        texts[name] = binascii.a2b_base64(data).decode("ascii")
    texts["kubelet"] = text_of(root + "/var/lib/kubelet/pki/kubelet-client-current.pem")
    certificates = {name: x509.from_pem(text) for name, text in texts.items()}
    return {name: x509.not_after(found) for name, found in certificates.items() if found}
