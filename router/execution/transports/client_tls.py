"""TLS towards one subgraph: authorities and the router's own certificate, anew when their files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TypeAlias

from router.execution.transports.http_wire import system_tls
from router.traffic import TlsFiles

log = logging.getLogger("stadion.router.certificates")

Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""What tells a file from its successor: inode, time of change in nanoseconds, size."""


class ClientTls:
    """The TLS settings of connections to one subgraph.  Errors: OSError, ssl.SSLError for unusable files."""

    def __init__(self, files: TlsFiles, *, protocols: tuple[str, ...] = ()) -> None:
        self._files = files
        self._protocols = list(protocols)
        self._paths = [Path(one) for one in (files.ca_file, files.certificate_file, files.key_file) if one]
        self._stamp = stamp_of(self._paths)
        self._context: ssl.SSLContext | None = None
        self._http1_context: ssl.SSLContext | None = None
        if self._paths:
            self._take()

    def context(self) -> ssl.SSLContext:
        """For a connection that is opened now."""
        if self._context is None:
            self._context = self._made(self._protocols) if self._protocols else system_tls()
        return self._context

    def http1_context(self) -> ssl.SSLContext:
        """For a connection that is opened now and speaks HTTP/1.1 whatever calls speak."""
        if self._http1_context is None:
            self._http1_context = self._made([]) if self._protocols else self.context()
        return self._http1_context

    def renewed(self) -> bool:
        """Whether the files had changed and are in force now. Files that cannot be used change nothing."""
        stamp = stamp_of(self._paths)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._take()
        except (OSError, ssl.SSLError) as error:
            log.error("changed certificates are not taken: %s", error.strerror or type(error).__name__)
            return False
        return True

    def _take(self) -> None:
        self._context, self._http1_context = self._made(self._protocols), None

    def _made(self, protocols: list[str]) -> ssl.SSLContext:
        files = self._files
        context = ssl.create_default_context(cafile=files.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if files.certificate_file:
            context.load_cert_chain(files.certificate_file, files.key_file)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context


def stamp_of(paths: list[Path]) -> Stamp:
    """What tells these files, as they are now, from later ones; None for one that is not there."""
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
