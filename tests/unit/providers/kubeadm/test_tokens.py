from __future__ import annotations

import pytest

from provision.providers.kubeadm.operations import tokens
from provision.providers.kubeadm.operations.tokens import Token, join_command, seconds_of

TOKEN = Token(
    id="abcdef",
    seconds=900,
    expires="2026-11-21T14:15:00Z",
    usages=("authentication", "signing"),
    description="mine",
    groups=(),
    secret="0123456789abcdef",  # noqa: S106  of nothing
)


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("2h30m", 9000), ("1d", 86400), ("90s", 90)])
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "15 m", "-5m", "0s", "366d", "15m5", "1w", "²m"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2026-11-21T14:15:00Z", 1795270500),
        ("2026-11-21T15:15:00+01:00", 1795270500),
        ("2026-11-21T08:45:00.123-05:30", 1795270500),
    ],
)
def test_ends_of_tokens_are_read_with_any_offset(text: str, epoch: int) -> None:
    assert tokens._epoch(text) == epoch


def test_the_secret_of_a_token_is_in_no_trace() -> None:
    assert "0123456789abcdef" not in repr(TOKEN)


def test_the_join_command_pins_the_authority() -> None:
    assert join_command("10.0.0.10:6443", TOKEN, "sha256:aa") == (
        "kubeadm join 10.0.0.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:aa"
    )
