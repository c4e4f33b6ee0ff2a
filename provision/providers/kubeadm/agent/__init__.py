"""The agent: a program for Python >= 3.9 that works on a control plane while a command of ours runs.

What it changes are objects of the API that belong to a run and not to the cluster: its lock, bootstrap tokens, cordons.
A playbook would take seconds for each, and could not hold a lock at all (docs/decisions/005-agent.md). Program and
request travel through standard input, so that nothing of them is seen in a process list or in sudo's log.
"""

from __future__ import annotations

import binascii
import json
import zlib
from collections.abc import Mapping
from importlib.resources import files

from provision.errors import ProvisionError

# In the order in which they need each other.
_PARTS = (
    ("probe", "reading"),
    ("probe", "api"),
    ("agent", "objects"),
    ("agent", "lease"),
    ("agent", "tokens"),
    ("agent", "lock"),
    ("agent", "cordons"),
    ("agent", "main"),
)
_LOADER = """\
import sys
Module = type(sys)
for name in ("provision", "provision.providers.kubeadm", "provision.providers.kubeadm.probe", "provision.providers.kubeadm.agent"):
    sys.modules[name] = Module(name)
for package, name, source in PARTS:
    module = Module("provision.providers.kubeadm." + package + "." + name)
    sys.modules[module.__name__] = module
    setattr(sys.modules["provision.providers.kubeadm." + package], name, module)
    exec(compile(source, "<agent: " + name + ">", "exec"), module.__dict__)
module.main()
"""
_MARK = "provision-agent:"


def arguments() -> tuple[str, ...]:
    """Arguments of python3: a loader of what stands in the marked line of its input, and it leaves the rest."""
    line = f"next(l[{len(_MARK)}:] for l in iter(sys.stdin.buffer.readline,b'') if l.startswith(b'{_MARK}'))"
    return ("-I", "-S", "-c", f"import binascii,sys,zlib;exec(zlib.decompress(binascii.a2b_base64({line})))")


def source(request: Mapping[str, object]) -> bytes:
    """The agent as a line, and what it is to do as the next one."""
    parts = tuple(
        (
            package,
            name,
            files(f"provision.providers.kubeadm.{package}")
            .joinpath(f"{name}.py")
            .read_text(encoding="utf-8"),
        )
        for package, name in _PARTS
    )
    packed = binascii.b2a_base64(zlib.compress(f"PARTS = {parts!r}\n{_LOADER}".encode(), 9))
    return _MARK.encode() + packed + json.dumps(request).encode() + b"\n"


def answer(line: bytes) -> dict[str, object] | None:
    """What a line of the agent says; None for one that a login shell wrote. Raises ProvisionError if it is broken."""
    if not line.startswith(_MARK.encode()):
        return None
    try:
        found = json.loads(line[len(_MARK) :])
    except ValueError as error:
        raise ProvisionError(f"a broken answer of the agent: {error}") from error
    if not isinstance(found, dict):
        raise ProvisionError("an answer of the agent is no mapping")
    return found
