"""TLS of the public port: the router's certificate, and clients' where they need one, anew when files change.

A connection keeps the certificate that it was opened with; nothing is closed when another one is taken.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import Final

from router.admission import ServerTls
from router.execution.transports.client_tls import stamp_of
from router.telemetry import reloads_count

log = logging.getLogger("stadion.router.certificates")
EVERY_S: Final = 1.0
"""The files are looked at this often."""


class CertificateUnusable(OSError):
    """A certificate file of the public port cannot be used; the text says why, without what it holds."""


class ListenerTls:
    """The TLS settings of new connections. `context` stays the same object; what it does follows the files.

    Errors: CertificateUnusable, at the start alone: files that become unusable leave the old ones in force.
    """

    def __init__(self, files: ServerTls) -> None:
        self._files = files
        named = (files.certificate_file, files.key_file, files.client_ca_file)
        self._paths = [Path(one) for one in named if one]
        self._stamp = stamp_of(self._paths)
        try:
            self._newest = self._made()
        except (OSError, ssl.SSLError) as error:
            raise CertificateUnusable(f"`tls` cannot be used: {_why(error)}") from None
        self.context = self._made()
        self.context.sni_callback = self._chosen

    def renewed(self) -> bool:
        """Whether the files had changed and are in force now."""
        stamp = stamp_of(self._paths)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._newest = self._made()
        except (OSError, ssl.SSLError) as error:
            log.error("the changed certificate is not taken: %s", _why(error))
            reloads_count.add(1, {"what": "certificate", "outcome": "failed"})
            return False
        log.info("the certificate was taken anew")
        reloads_count.add(1, {"what": "certificate", "outcome": "taken"})
        return True

    async def follow(self, *, every_s: float = EVERY_S) -> None:
        """Take changed files for as long as the router runs."""
        while True:
            await asyncio.sleep(every_s)
            self.renewed()

    def _chosen(self, connection: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        # called in every handshake, also where the client names no server
        connection.context = self._newest

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._files.certificate_file, self._files.key_file)
        if self._files.client_ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._files.client_ca_file)
        return context


def _why(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", None) or type(error).__name__
