"""Remove secrets from text that is shown or kept: a second line of defence, for secrets should not get there."""

from __future__ import annotations

import re

_REPLACEMENT = "[redacted]"
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b[a-z0-9]{6}\.[a-z0-9]{16}\b"  # bootstrap token
    r"|((?i:certificate[-_ ]?key)\W{1,6})[0-9a-f]{64}\b"  # other text of that shape is a digest, and stays
    r"|(?<=-data: )LS0t\S+"  # keys and certificates of a kubeconfig
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",  # user and password of a proxy or mirror
    re.DOTALL,
)


def redact(text: str) -> str:
    """Replace every private key, bootstrap token, certificate key and URL password in a text."""
    return _SECRETS.sub(lambda found: (found[1] or "") + _REPLACEMENT, text)
