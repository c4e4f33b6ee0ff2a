from __future__ import annotations

import pytest

from provision.model.units import counted, duration, names


def test_a_count_of_one_is_singular() -> None:
    assert [counted(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_only_the_first_of_many_hosts_are_named() -> None:
    assert names(["a", "b"]) == "a, b"
    assert names(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 05 s")],
)
def test_a_duration_is_as_exact_as_it_is_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
