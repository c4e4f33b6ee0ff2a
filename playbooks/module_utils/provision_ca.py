"""The hash by which kubeadm pins a cluster's certificate authority, without openssl on the host."""

from __future__ import annotations

import hashlib
import ssl

from ansible.module_utils.provision_host import HostError

_CONSTRUCTED_SEQUENCE = 0x30
_EXPLICIT_VERSION = 0xA0
_LONG_FORM = 0x80
# serialNumber, signature, issuer, validity and subject stand before the key: RFC 5280, section 4.1
_FIELDS_BEFORE_KEY = 5


def ca_hash(pem: str) -> str:
    """`sha256:<hex>` of the SubjectPublicKeyInfo of the first certificate in `pem`."""
    end = "-----END CERTIFICATE-----"
    first, found, _ = pem.partition(end)
    if not found:
        raise HostError("the certificate authority's file holds no certificate")
    certificate = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :] + end + "\n")
    return "sha256:" + hashlib.sha256(_public_key_info(certificate)).hexdigest()


def _public_key_info(certificate: bytes) -> bytes:
    start, _ = _content(certificate, 0)  # Certificate
    start, _ = _content(certificate, start)  # TBSCertificate
    if certificate[start] == _EXPLICIT_VERSION:
        start = sum(_content(certificate, start))
    for _ in range(_FIELDS_BEFORE_KEY):
        start = sum(_content(certificate, start))
    if certificate[start] != _CONSTRUCTED_SEQUENCE:
        raise HostError("the certificate authority's certificate cannot be read")
    return certificate[start : sum(_content(certificate, start))]


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at `at` begins, and how long it is."""
    length = data[at + 1]
    if length < _LONG_FORM:
        return at + 2, length
    octets = length - _LONG_FORM
    start = at + 2 + octets
    return start, int.from_bytes(data[at + 2 : start], "big")
