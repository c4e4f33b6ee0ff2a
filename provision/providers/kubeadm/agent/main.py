"""Reads what is to be done, does it, and answers in marked lines, because a login shell may print greetings."""

from __future__ import annotations

import json
import sys

from provision.providers.kubeadm.agent.cordons import uncordon
from provision.providers.kubeadm.agent.lock import hold, lines_of
from provision.providers.kubeadm.agent.tokens import tokens

_MARK = "provision-agent:"


def main() -> None:
    request = json.loads(sys.stdin.buffer.readline())
    try:
        if request["do"] == "hold":
            hold(request, _tell, lines_of(sys.stdin.buffer))
        elif request["do"] == "uncordon":
            _tell(uncordon(request))
        else:
            _tell(tokens(request))
    except OSError as error:
        _tell({"problem": str(error)})


def _tell(answer: dict[str, object]) -> None:
    sys.stdout.write(_MARK + json.dumps(answer) + "\n")
    sys.stdout.flush()
