"""Runs independent calls at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

_MOST = 12


def together(calls: Sequence[Callable[[], T]], *, most: int = _MOST) -> list[T]:
    """What the calls return, in their order; raises what the first of them raised, once all have ended.

    The threads are daemons: a call that hangs does not keep the program from ending when the user wants it to.
    """
    if len(calls) == 1:
        return [calls[0]()]
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    waiting = iter(enumerate(calls))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number, call = next(waiting, (-1, None))
            if call is None:
                return
            try:
                results[number] = call()
            except BaseException as error:  # noqa: BLE001  (raised again by the caller's thread)
                errors[number] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(most, len(calls)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(calls))]
