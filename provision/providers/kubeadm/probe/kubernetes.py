"""What kubeadm left on a host: which cluster it belongs to, in which role, and until when its certificates hold."""

from __future__ import annotations

import binascii
import os

from provision.providers.kubeadm.probe import der
from provision.providers.kubeadm.probe.reading import names, read

_ADMIN = ("admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf")


def kubernetes(root: str) -> dict[str, object]:
    home = root + "/etc/kubernetes"
    manifests = {
        name[: -len(".yaml")]: _value(read(home + "/manifests/" + name), "image: ")
        for name in names(home + "/manifests", ".yaml")
    }
    authority = read(home + "/pki/ca.crt")
    kubelet = read(home + "/kubelet.conf")
    return {
        "ca": authority if der.from_pem(authority) else "",
        "kubelet_server": _value(kubelet, "server: "),
        "admin_server": _value(read(home + "/admin.conf"), "server: "),
        "names": der.names(der.from_pem(read(home + "/pki/apiserver.crt"))),
        "joined": bool(kubelet),
        "admin": os.path.exists(home + "/admin.conf"),
        "manifests": manifests,
        "markers": names(root + "/var/lib/provision"),
        "etcd_data": os.path.isdir(root + "/var/lib/etcd/member"),
        "certificates": _certificates(root, home),
    }


def _value(text: str, label: str) -> str:
    for line in text.splitlines():
        if line.strip(" -").startswith(label):
            return line.strip(" -")[len(label) :].strip("\"'")
    return ""


def _certificates(root: str, home: str) -> dict[str, str]:
    """When each certificate ends, in the words of its DER."""
    texts = {name[:-4]: read(home + "/pki/" + name) for name in names(home + "/pki", ".crt")}
    texts.update(
        {"etcd/" + name[:-4]: read(home + "/pki/etcd/" + name) for name in names(home + "/pki/etcd", ".crt")}
    )
    for name in _ADMIN:
        data = _value(read(home + "/" + name), "client-certificate-data: ")
        texts[name] = binascii.a2b_base64(data).decode("ascii") if data else ""
    texts["kubelet"] = read(root + "/var/lib/kubelet/pki/kubelet-client-current.pem")
    ends = {}
    for name, text in texts.items():
        certificate = der.from_pem(text)
        if certificate:
            ends[name] = der.not_after(certificate)
    return ends
