"""Interrupt a run after a number of mutating calls, as if its process were killed."""

from __future__ import annotations

import threading
from typing import Any

from provision.providers.eks.aws.account import Account


class KilledError(BaseException):
    """Stands for the end of the process: no `except` of the code under test may catch it."""


class Killer:
    """Lets so many mutating calls succeed; no call is made after the last of them."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.dead = False
        self._lock = threading.Lock()

    def attach(self, account: Account) -> Account:
        events: Any = account.session._session
        events.register("before-call", self._before)
        events.register("after-call", self._after)
        return account

    def _before(self, **_: Any) -> None:
        if self.dead:
            raise KilledError

    def _after(self, http_response: Any, model: Any, **_: Any) -> None:
        with self._lock:
            if self.dead:
                raise KilledError
            if http_response.status_code >= 400 or model.name.startswith(("Describe", "Get", "List")):
                return
            self.left -= 1
            if self.left <= 0:
                self.dead = True
                raise KilledError


class _WatchedAccount(Account):
    """An account whose every session is watched by the same killer."""

    killer: Killer

    def renewed(self) -> Account:
        return self.killer.attach(super().renewed())


def killed_account(account: Account, killer: Killer) -> Account:
    """The account, whose calls end when the killer has counted enough of them."""
    watched = _WatchedAccount(account.region, account.session)
    object.__setattr__(watched, "killer", killer)
    return watched
