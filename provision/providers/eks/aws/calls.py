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
    """Seconds between two polls: `first`, then `growth` times as long, at most `longest`.

    Polling adds half of `longest` on average to the time that AWS takes for a resource.
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
    """The default pace, or that of PROVISION_POLL_SECONDS: seconds between two polls, 0 against a fake account.

    Raises FileError for a value that is not a number of seconds.
    """
    text = environment.get(ENVIRONMENT)
    if text is None:
        return Pace()
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise FileError(f"{ENVIRONMENT} is {text!r}, not a number of seconds", fix=f"unset {ENVIRONMENT}")
    return Pace(seconds, seconds)


def wait_for(
    poll: Callable[[], T | None],
    *,
    what: str,
    limit: float,
    pace: Pace,
    cancel: threading.Event,
    passing: Callable[[float], None] = lambda _seconds: None,
) -> T:
    """Call `poll` at once, then at the pace, and return its first result that is not None.

    `passing` is called after every poll with the seconds that have passed. Raises StepFailedError after `limit`
    seconds, InterruptedRunError as soon as `cancel` is set, and what `poll` raises.
    """
    started = time.monotonic()
    for delay in pace.delays():
        found = poll()
        if found is not None:
            return found
        passed = time.monotonic() - started
        passing(passed)
        if passed > limit:
            raise StepFailedError(
                f"{what} has not ended after {duration(passed)}",
                fix="AWS continues with it: see its state in the console, then run the same command again",
            )
        if cancel.wait(delay):
            raise InterruptedRunError(f"stopped while waiting: {what}")
    raise AssertionError  # delays() has no end


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run the calls in parallel and return their results in order.

    Raises the exception of the first call that failed, after all have ended. The threads are daemons, so that a call
    that hangs does not keep the program from exiting.
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

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_MOST, len(calls)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(calls))]
