"""Text that is shown or kept: secrets removed (a second line of defence), and what hosts say on one line."""

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


def one_line(text: str) -> str:
    """Write every character that a terminal obeys as an escape, for example a line feed as x0a."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"  # noqa: PLR2004
        for sign in text
    )
