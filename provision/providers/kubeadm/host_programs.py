"""Pack the two programs that run on hosts over SSH: the probe (facts of a host) and the agent (lock, tokens, cordons).

Both are modules of playbooks/module_utils, which Ansible's modules use, too. Packed, they need Python >= 3.9 and its
standard library. They travel through standard input: one round trip, no file, and nothing of them, nor of a secret, is
in a process list or in sudo's log.
"""

from __future__ import annotations

import binascii
import importlib.util
import json
import re
import zlib
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType

from provision.errors import ProvisionError
from provision.paths import content_root

MODULES = ("overlay", "br_netfilter", "nf_conntrack")
NFTABLES_MODULES = ("nf_tables",)  # with `dataplane: nftables`; never ip_tables, which new kernels have not
SYSCTLS = (
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.ipv4.ip_forward",
)
# API server, etcd (clients, peers), kubelet, controller manager, scheduler, kube-proxy's health. Calico's VXLAN
# is UDP and Felix's health local.
PORTS = (2379, 2380, 6443, 10250, 10256, 10257, 10259)
_PACKAGE = "ansible.module_utils"
BEGIN, END = "--- provision probe ---", "--- end of provision probe ---"
# Modules of playbooks/module_utils in each program, without their prefix.
_CONNECTION = ("errors", "files", "http", "api_connection")
_PROBE = (
    *(*_CONNECTION, "etcd_connection", "cluster", "certificates", "kubernetes"),
    *("kernel", "network", "netfilter", "dpkg", "rpm", "software", "swap", "system", "probe"),
)
_AGENT = (*_CONNECTION, "api", "tokens", "cordons", "lease", "agent")
# A part is compiled when it is imported: hosts other than control planes are spared the clients.
_LOADER = """\
import sys

class Parts:
    def find_spec(self, name, path=None, target=None):
        if name in PACKAGES or name in PARTS:
            return type(sys.__spec__)(name, self, is_package=name in PACKAGES)

    def create_module(self, spec):
        pass

    def exec_module(self, module):
        name = module.__name__
        exec(compile(PARTS.get(name, ""), "<" + name.rpartition(".")[2] + ">", "exec"), module.__dict__)

PACKAGES = ("ansible", "ansible.module_utils")
sys.meta_path.insert(0, Parts())
"""
# What a program on a host does not need, and what stands for it there: an empty string where a body may need a line.
_NEEDLESS = (
    (re.compile(r'^( *)"""(?:.|\n)*?"""$', re.MULTILINE), r"\1''"),
    (re.compile(r"(?:^ *|  )# .*$", re.MULTILINE), ""),
    (re.compile(r"^TYPE_CHECKING = False\nif TYPE_CHECKING:\n(?:(?: .*)?\n)+", re.MULTILINE), ""),
)
_OLDEST = (3, 9)
_AGENT_MARK = "provision-agent:"


def probe_arguments() -> tuple[str, ...]:
    """Arguments of python3: a loader of the last line of its input, and what to look for, as JSON."""
    too_old = f"sys.version_info<{_OLDEST!r} and sys.exit('provision: python3 is '+sys.version.split()[0])"
    last = "sys.stdin.buffer.read().rpartition(b'\\n')[2]"
    loader = f"import binascii,sys,zlib;{too_old};exec(zlib.decompress(binascii.a2b_base64({last})))"
    wanted = json.dumps({"modules": (*MODULES, *NFTABLES_MODULES), "sysctls": SYSCTLS, "ports": PORTS})
    return ("-I", "-S", "-c", loader, wanted)


def probe_source() -> bytes:
    """The probe as one line without an end, under 30 KB: what `probe_arguments` loads."""
    return _packed(_PROBE, f"provision_probe.main({BEGIN!r}, {END!r})")


def probe_document(output: str) -> dict[str, object]:
    """The JSON document in the output of a host; raises ProvisionError if there is none."""
    _, begin, rest = output.rpartition(f"{BEGIN}\n")
    text, end, _ = rest.partition(f"\n{END}")
    if not begin or not end:
        raise ProvisionError("no document of the probe in the output")
    return _mapping(text, "document of the probe")


def agent_arguments() -> tuple[str, ...]:
    """Arguments of python3: a loader of the marked line of its input, which leaves the rest to the agent."""
    mark = _AGENT_MARK
    line = f"next(l[{len(mark)}:] for l in iter(sys.stdin.buffer.readline,b'') if l.startswith(b'{mark}'))"
    return ("-I", "-S", "-c", f"import binascii,sys,zlib;exec(zlib.decompress(binascii.a2b_base64({line})))")


def agent_source(request: Mapping[str, object]) -> bytes:
    """The agent as one line, and its request as the next one."""
    packed = _packed(_AGENT, f"provision_agent.main({_AGENT_MARK!r})")
    return b"%s%s\n%s\n" % (_AGENT_MARK.encode(), packed, json.dumps(request).encode())


def agent_answer(line: bytes) -> dict[str, object] | None:
    """The answer in a line of the agent; None for a line of a login shell. Raises ProvisionError if it is broken."""
    if not line.startswith(_AGENT_MARK.encode()):
        return None
    return _mapping(line[len(_AGENT_MARK) :], "answer of the agent")


def ca_hash(pem: str) -> str:
    """`sha256:<hex>` of the public key of the first certificate in `pem`, as kubeadm pins it; "" without one."""
    certificates = _certificates()
    certificate = certificates.from_pem(pem)
    return str(certificates.public_key_hash(certificate)) if certificate else ""


def _mapping(text: str | bytes, what: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ProvisionError(f"broken {what}: {error}") from error
    if not isinstance(found, dict):
        raise ProvisionError(f"the {what} is not a mapping")
    return found


@lru_cache
def _packed(parts: tuple[str, ...], call: str) -> bytes:
    """The program whose last part has the function to call, as base64 of zlib."""
    sources = {
        f"{_PACKAGE}.provision_{name}": stripped(_path(name).read_text(encoding="utf-8")) for name in parts
    }
    program = f"PARTS = {sources!r}\n{_LOADER}\nfrom {_PACKAGE} import provision_{parts[-1]}\n{call}\n"
    return binascii.b2a_base64(zlib.compress(program.encode(), 9), newline=False)


def stripped(source: str) -> str:
    """The module without docstrings, comments and imports for type checks; line numbers stay the same."""
    for pattern, instead in _NEEDLESS:
        source = pattern.sub(partial(_blank, instead), source)
    return source


def _blank(instead: str, found: re.Match[str]) -> str:
    """`instead`, expanded, and as many ends of lines as were found."""
    return found.expand(instead) + "\n" * found[0].count("\n")


def _path(part: str) -> Path:
    return content_root() / "playbooks" / "module_utils" / f"provision_{part}.py"


@lru_cache
def _certificates() -> ModuleType:
    """The hosts' reader of certificates, so that the controller computes the same hashes."""
    path = _path("certificates")
    spec = importlib.util.spec_from_file_location("provision_certificates", path)
    if spec is None or spec.loader is None:
        raise ProvisionError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
