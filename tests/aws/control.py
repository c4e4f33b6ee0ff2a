"""The control route: states and assertions for other processes.

`POST /_control` with `{"do": NAME, "with": {...}}`: a public method of States or Ghosts, or "reset", "forget_calls".
`GET /_control/calls`, `/_control/inventory` and `/_control/errors` answer JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.aws.wire import Reply, Request

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount


class Control:
    def __init__(self, account: AwsAccount) -> None:
        self._account = account

    def answer(self, request: Request) -> Reply:
        try:
            content = (
                self._look(request.path) if request.method == "GET" else self._do(json.loads(request.body))
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})
        return _json(200, content)

    def _look(self, path: str) -> Any:
        if path == "/_control/calls":
            return [asdict(call) for call in self._account.calls]
        if path == "/_control/errors":
            return list(self._account.shim_errors)
        if path == "/_control/inventory":
            return self._account.inventory()
        raise KeyError(path)

    def _do(self, order: dict[str, Any]) -> Any:
        name, given = str(order["do"]), order.get("with", {})
        if name.startswith("_"):
            raise KeyError(name)
        if name in {"reset", "forget_calls"}:
            return getattr(self._account, name)()
        owner = self._account.ghosts if hasattr(self._account.ghosts, name) else self._account.states
        return getattr(owner, name)(**given)


def _json(status: int, content: Any) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content, default=str).encode())
