from __future__ import annotations

import threading
import time
from itertools import islice

import pytest

from provision.errors import FileError, InterruptedRunError, StepFailedError
from provision.providers.eks.aws.calls import ENVIRONMENT, Pace, pace_of, together, wait_for

NOW = Pace(0, 0)


def test_polls_slow_down_to_a_bound() -> None:
    assert list(islice(Pace(1, 5, 2).delays(), 5)) == [1, 2, 4, 5, 5]


def test_an_immediate_result_is_not_waited_for() -> None:
    began = time.monotonic()
    assert wait_for(lambda: "there", what="x", limit=9, pace=Pace(9, 9), cancel=threading.Event()) == "there"
    assert time.monotonic() - began < 1


def test_a_wait_that_is_cancelled_ends_at_once() -> None:
    cancel = threading.Event()
    threading.Timer(0.1, cancel.set).start()
    with pytest.raises(InterruptedRunError):
        wait_for(lambda: None, what="x", limit=99, pace=Pace(60, 60), cancel=cancel)


def test_a_wait_has_an_end() -> None:
    with pytest.raises(StepFailedError, match="create cluster has not ended after"):
        wait_for(lambda: None, what="create cluster", limit=0.05, pace=NOW, cancel=threading.Event())


def test_the_environment_sets_the_pace() -> None:
    assert pace_of({}) == Pace()
    assert pace_of({ENVIRONMENT: "0"}) == NOW


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_pace_that_is_not_a_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(FileError, match="not a number of seconds"):
        pace_of({ENVIRONMENT: text})


def test_calls_run_in_parallel_and_return_in_order() -> None:
    both = threading.Barrier(2, timeout=5)

    def call(number: int) -> int:
        both.wait()
        return number

    assert together([lambda: call(1), lambda: call(2)]) == [1, 2]


def test_the_first_error_is_raised_when_all_calls_have_ended() -> None:
    ended: list[int] = []

    def fail(text: str) -> None:
        ended.append(1)
        raise ValueError(text)

    with pytest.raises(ValueError, match="first"):
        together([lambda: fail("first"), lambda: fail("second"), lambda: ended.append(1)])
    assert len(ended) == 3
