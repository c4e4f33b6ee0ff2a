"""Call AWS: independent calls in parallel, and one call repeatedly until it has a result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provision.errors import FileError, InterruptedRunError, StepFailedError
from provision.model.units import duration

T = TypeVar("T")

ENVIRONMENT = "PROVISION_POLL_SECONDS"
_MOST = 12  # threads of one `together`


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two looks: `first`, then `growth` times as long, at most `longest`.

    What `longest` adds to the time that AWS takes is half of it on average for each thing in a row.
    """

    first: float = 1.0
    longest: float = 5.0
    growth: float = 1.3

    def delays(self) -> Iterator[float]:
        delay = self.first
        while True:
            yield min(delay, self.longest)
            delay *= self.growth


def pace_of(environment: Mapping[str, str]) -> Pace:
    """The usual pace, or that of PROVISION_POLL_SECONDS: seconds between two looks, 0 against a fake account."""
    text = environment.get(ENVIRONMENT)
    if text is None:
        return Pace()
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise FileError(f"{ENVIRONMENT} is {text!r}, no number of seconds", fix=f"unset {ENVIRONMENT}")
    return Pace(seconds, seconds)


def wait_for(
    look: Callable[[], T | None],
    *,
    what: str,
    limit: float,
    pace: Pace,
    cancel: threading.Event,
    passing: Callable[[float], None] = lambda _seconds: None,
) -> T:
    """What `look` returns when it first returns something; it is asked at once, then at the pace.

    `passing` is told after every look how many seconds have passed. Raises StepFailedError after `limit` seconds,
    InterruptedRunError as soon as `cancel` is set, and what `look` raises.
    """
    started = time.monotonic()
    for delay in pace.delays():
        found = look()
        if found is not None:
            return found
        passed = time.monotonic() - started
        passing(passed)
        if passed > limit:
            raise StepFailedError(
                f"{what} has not ended after {duration(passed)}",
                fix="AWS goes on with it: look at it in the console, then run the same command again",
            )
        if cancel.wait(delay):
            raise InterruptedRunError(f"stopped while waiting: {what}")
    raise AssertionError  # delays() has no end


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
