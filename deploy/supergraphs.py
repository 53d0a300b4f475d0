"""Where a router has its supergraph from: a file, or a URL that is asked whether it has changed.

Source: RFC 9110 §8.8.3 (ETag), §13.1.2 (If-None-Match).
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

URLS: Final = ("http://", "https://")
BYTES_MAX: Final = 64_000_000
TIMEOUT_S: Final = 10.0
FILE_POLL_S: Final = 2.0
URL_POLL_S: Final = 10.0
NOT_MODIFIED: Final = 304


class SupergraphUnread(Exception):
    """The supergraph cannot be had; the text says why, without the URL's secrets."""


@dataclass(slots=True)
class RemoteSupergraph:
    """A supergraph at a URL. Read from one thread at a time; no redirect is followed, because it would carry
    the token on to somebody else."""

    url: str
    token: str = field(default="", repr=False)
    _etag: str = ""
    _text: str = ""

    def read(self) -> str:
        """The text as it is now; where nothing has changed, nothing is sent.  Errors: SupergraphUnread."""
        request = urllib.request.Request(self.url, headers=self._headers())  # noqa: S310 - see `source_of`
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                body = answer.read(BYTES_MAX + 1)
                etag = answer.headers.get("etag", "")
        except urllib.error.HTTPError as error:
            with error:
                if error.code == NOT_MODIFIED and self._text:
                    return self._text
            raise SupergraphUnread(f"the server answered {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise SupergraphUnread(f"the server cannot be asked: {reason}") from None
        if len(body) > BYTES_MAX:
            raise SupergraphUnread(f"it is over {BYTES_MAX} bytes")
        try:
            self._text = body.decode()
        except UnicodeDecodeError:
            raise SupergraphUnread("it is not UTF-8 text") from None
        self._etag = etag
        return self._text

    def _headers(self) -> dict[str, str]:
        headers = {"accept": "text/plain, application/graphql, */*", "user-agent": "stadion-router"}
        if self._etag:
            headers["if-none-match"] = self._etag
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return headers

    def __str__(self) -> str:
        return self.url.partition("?")[0]


Source: TypeAlias = Path | RemoteSupergraph


def source_of(named: str, *, token: str = "") -> Source:
    """The source that the command line names: a URL of http or https, else a file."""
    return RemoteSupergraph(named, token) if named.startswith(URLS) else Path(named)


def text_of(source: Source) -> str:
    """The supergraph's text.  Errors: SupergraphUnread, OSError, UnicodeDecodeError."""
    return source.read() if isinstance(source, RemoteSupergraph) else source.read_text(encoding="utf-8")


def poll_s_of(source: Source) -> float:
    """Seconds between two looks."""
    return URL_POLL_S if isinstance(source, RemoteSupergraph) else FILE_POLL_S


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: what redirects is an error."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)
