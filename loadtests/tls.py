"""TLS on the load side: what is offered, what a certificate is checked against, and what a failure is called.

The rule: a certificate is checked, against the authority that was named or the system's, unless ``insecure`` was asked
for in so many words. No session is kept from one connection to the next: every connection pays for a full handshake,
as a new user's does.
"""

from __future__ import annotations

import ssl

from loadtests.settings import InputError

__all__ = ["VERSIONS", "context", "explain"]

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context(version: str = "", ca_file: str | None = None, *, insecure: bool = False) -> ssl.SSLContext:
    """Return a client's context: exactly TLS ``version``, or 1.2 and 1.3 when it is empty.

    ``ca_file`` holds the authorities to trust (PEM; None: the system's). ``insecure`` checks no certificate at all.
    Raises InputError.
    """
    if version and version not in VERSIONS:
        raise InputError(f"tls = {version!r}, expected {' or '.join(VERSIONS)}")
    # By way of the module: where gevent has patched it, the class it had before no longer finds itself (super()).
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = VERSIONS[version or "1.2"]
    if version:
        made.maximum_version = VERSIONS[version]
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # set by older 3.11: a cut would pass for an end
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif ca_file is None:
        made.load_default_certs()
    else:
        try:
            made.load_verify_locations(cafile=ca_file)
        except OSError as error:  # SSLError is one
            why = "no certificate in it" if isinstance(error, ssl.SSLError) else (error.strerror or str(error))
            raise InputError(f"load.ca_file = {ca_file}: {why}, expected certificates (PEM)") from None
    return made


def explain(error: OSError) -> str:
    """Say in a few words what went wrong with TLS, or beneath it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING":
        return "ended by the peer without close_notify"  # RFC 8446 6.1: what came may have been cut short
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
