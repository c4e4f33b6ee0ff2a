"""Ctrl-C and SIGTERM: the first stops a run in order, the second at once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def interruptible(tell: Callable[[], None]) -> Iterator[threading.Event]:
    """The event that is set by the first signal; `tell` is called then. The second one is a KeyboardInterrupt."""
    cancel = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(_number: int, _frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()
        # In a thread: the one that was interrupted may hold a lock that telling needs.
        threading.Thread(target=tell, daemon=True).start()

    try:
        for number in before:
            signal.signal(number, stop)
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
