"""Read expiry, public key and names of an X.509 certificate without OpenSSL, by walking through its DER.

Importing `ssl` costs a small machine a quarter of a second. Layout: RFC 5280, section 4.1. This file imports nothing
of module_utils, because the controller loads it alone.
"""

from __future__ import annotations

import binascii

_LONG_FORM = 0x80
_CONTEXT_0 = 0xA0
_CONTEXT_3 = 0xA3
_ALTERNATIVE_NAMES = bytes.fromhex("0603551d11")  # the object identifier 2.5.29.17, as it stands there
_DNS, _ADDRESS = 0x82, 0x87
_IPV4 = 4
_VALIDITY, _PUBLIC_KEY = 3, 5  # positions in TBSCertificate after the optional version: serial is 0


def from_pem(text: str) -> bytes:
    """The DER of the first certificate in a PEM text; b"" if there is none."""
    _, begin, rest = text.partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not begin or not end:
        return b""
    try:
        return binascii.a2b_base64(body)
    except binascii.Error:
        return b""


def not_after(certificate: bytes) -> str:
    """When a certificate expires, as in its DER: `271121101530Z` or `20571121101530Z` (always UTC)."""
    validity = _fields(certificate)[_VALIDITY]
    start, end = _content(certificate, validity)
    _, second = _children(certificate, start, end)
    begin, stop = _content(certificate, second)
    return certificate[begin:stop].decode("ascii")


def public_key_hash(certificate: bytes) -> str:
    """`sha256:<hex>` of SubjectPublicKeyInfo, by which kubeadm pins a cluster's authority."""
    import hashlib  # noqa: PLC0415 - takes long to import; the probe does without

    start, end = _fields(certificate)[_PUBLIC_KEY]
    return "sha256:" + hashlib.sha256(certificate[start:end]).hexdigest()


def names(certificate: bytes) -> list[str]:
    """DNS names and addresses that a certificate is valid for; [] without any, or without a certificate."""
    if not certificate:
        return []
    extensions = [field for field in _fields(certificate) if certificate[field[0]] == _CONTEXT_3]
    found = []
    for field in extensions:
        listed = _children(certificate, *_content(certificate, field))[0]
        for extension in _children(certificate, *_content(certificate, listed)):
            parts = _children(certificate, *_content(certificate, extension))
            if certificate[parts[0][0] : parts[0][1]] != _ALTERNATIVE_NAMES:
                continue
            sequence = _children(certificate, *_content(certificate, parts[-1]))[0]
            found += [
                _name(certificate[name[0]], certificate[slice(*_content(certificate, name))])
                for name in _children(certificate, *_content(certificate, sequence))
            ]
    return [name for name in found if name]


def _name(kind: int, value: bytes) -> str:
    if kind == _DNS:
        return value.decode("ascii", "replace")
    if kind != _ADDRESS:
        return ""
    import socket  # noqa: PLC0415 - only control planes have a certificate with names

    return socket.inet_ntop(socket.AF_INET if len(value) == _IPV4 else socket.AF_INET6, value)


def _fields(certificate: bytes) -> list[tuple[int, int]]:
    start, _ = _content(certificate, (0, len(certificate)))
    tbs = _children(certificate, start, len(certificate))[0]
    fields = _children(certificate, *_content(certificate, tbs))
    return fields[1:] if certificate[fields[0][0]] == _CONTEXT_0 else fields


def _children(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    elements = []
    while start < end:
        _, stop = _content(data, (start, end))
        elements.append((start, stop))
        start = stop
    return elements


def _content(data: bytes, element: tuple[int, int]) -> tuple[int, int]:
    """Where the content of the element that begins at `element[0]` begins and ends."""
    at = element[0] + 1
    length = data[at]
    at += 1
    if length >= _LONG_FORM:
        size = length - _LONG_FORM
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    return at, at + length
