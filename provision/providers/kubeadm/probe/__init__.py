"""The probe: a program for Python >= 3.9 that looks at a host. This file packs it; the others are what runs there.

The parts import each other by their names here, so that they are ordinary modules for tests and type checks.
On the host a few lines of loader put them in place. All of it travels through standard input: one round trip, no
file, and no 16 KB in the log of sudo at every look.
"""

from __future__ import annotations

import binascii
import json
import zlib
from importlib.resources import files

from provision.errors import ProvisionError
from provision.providers.kubeadm.probe.main import BEGIN, END

# In the order in which they need each other.
_PARTS = ("reading", "der", "machine", "kernel", "network", "software", "kubernetes", "api", "etcd", "main")
_LOADER = """\
import sys
Module = type(sys)
for name in ("provision", "provision.providers.kubeadm", "provision.providers.kubeadm.probe"):
    sys.modules[name] = Module(name)
for name, source in PARTS:
    module = Module("provision.providers.kubeadm.probe." + name)
    sys.modules[module.__name__] = module
    setattr(sys.modules["provision.providers.kubeadm.probe"], name, module)
    exec(compile(source, "<probe: " + name + ">", "exec"), module.__dict__)
module.main()
"""
_OLDEST = (3, 9)
MODULES = ("overlay", "br_netfilter", "nf_conntrack")
SYSCTLS = (
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.ip_forward",
)
# API server, etcd (clients, peers), kubelet, controller manager, scheduler, kube-proxy's health, Calico's VXLAN
# is UDP and Felix's health local.
PORTS = (2379, 2380, 6443, 10250, 10256, 10257, 10259)


def arguments() -> tuple[str, ...]:
    """Arguments of python3: a loader of what stands in the last line of its input, and what to look for, as JSON."""
    too_old = f"sys.version_info<{_OLDEST!r} and sys.exit('provision: python3 is '+sys.version.split()[0])"
    last = "sys.stdin.buffer.read().rpartition(b'\\n')[2]"
    loader = f"import binascii,sys,zlib;{too_old};exec(zlib.decompress(binascii.a2b_base64({last})))"
    wanted = json.dumps({"modules": MODULES, "sysctls": SYSCTLS, "ports": PORTS})
    return ("-I", "-S", "-c", loader, wanted)


def source() -> bytes:
    """The probe as one line without an end, under 30 KB: what `arguments()` loads."""
    sources = files("provision.providers.kubeadm.probe")
    parts = tuple((name, sources.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in _PARTS)
    return binascii.b2a_base64(zlib.compress(f"PARTS = {parts!r}\n{_LOADER}".encode(), 9), newline=False)


def document(output: str) -> dict[str, object]:
    """The JSON document in what a host wrote; raises ProvisionError if there is none."""
    _, begin, rest = output.rpartition(f"{BEGIN}\n")
    text, end, _ = rest.partition(f"\n{END}")
    if not begin or not end:
        raise ProvisionError("no document of the probe in the output")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ProvisionError(f"a broken document of the probe: {error}") from error
    if not isinstance(found, dict):
        raise ProvisionError("the document of the probe is no mapping")
    return found
