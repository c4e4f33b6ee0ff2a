from __future__ import annotations

import pytest

from provision.redact import redact

KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kubeadm join --token abcdef.0123456789abcdef", "kubeadm join --token [redacted]"),
        (f"--certificate-key {KEY}", "--certificate-key [redacted]"),
        (f"Using certificate key:\n{KEY}", "Using certificate key:\n[redacted]"),
        (f'{{"certificateKey": "{KEY}"}}', '{"certificateKey": "[redacted]"}'),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a [redacted] b"),
        ("-----BEGIN PRIVATE KEY-----\nMII cut off", "[redacted]"),
        ("    client-key-data: LS0tLS1CRUdJTg==", "    client-key-data: [redacted]"),
        ("proxy http://me:secret@proxy:3128 refused", "proxy http://[redacted]@proxy:3128 refused"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [f"sha256:{KEY}", f"calico_manifest_sha256: {KEY}", "registry.k8s.io/pause:3.10.2", "kube-proxy.service"],
)
def test_what_only_looks_similar_stays_readable(text: str) -> None:
    assert redact(text) == text
