from __future__ import annotations

from provision.providers.kubeadm.operations.tokens import Token, join_command

TOKEN = Token(
    id="abcdef",
    seconds=900,
    expires="2026-11-21T14:15:00Z",
    usages=("authentication", "signing"),
    description="mine",
    groups=(),
    secret="0123456789abcdef",  # noqa: S106  of nothing
)


def test_the_secret_of_a_token_is_in_no_trace() -> None:
    assert "0123456789abcdef" not in repr(TOKEN)


def test_the_join_command_pins_the_authority() -> None:
    assert join_command("10.0.0.10:6443", TOKEN, "sha256:aa") == (
        "kubeadm join 10.0.0.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:aa"
    )
