from __future__ import annotations

import pytest

from provision.model.units import counted, duration, epoch, join_host_port, names, seconds_of, split_host_port


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("2h30m", 9000), ("1d", 86400), ("90s", 90)])
def test_a_duration_is_parsed(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "15 m", "-5m", "0s", "366d", "15m5", "1w", "²m"])
def test_a_malformed_duration_is_refused(text: str) -> None:
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-21T14:15:00Z", 1795270500),
        ("2026-11-21T15:15:00+01:00", 1795270500),
        ("2026-11-21T08:45:00.123-05:30", 1795270500),
    ],
)
def test_times_are_read_with_any_offset(text: str, seconds: int) -> None:
    assert epoch(text) == seconds


@pytest.mark.parametrize(
    ("host", "port", "text"), [("10.0.0.11", 6443, "10.0.0.11:6443"), ("fd00::11", 6443, "[fd00::11]:6443")]
)
def test_a_host_and_its_port_are_joined_and_split_again(host: str, port: int, text: str) -> None:
    assert join_host_port(host, port) == text
    assert split_host_port(text) == (host, port)


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
