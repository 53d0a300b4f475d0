"""CSRF prevention: refuses what a page of another site can make a browser send without asking first.

A browser sends forms and plain GETs across sites unasked; a JSON content type or a header of our own
makes it ask (CORS preflight) before. Source: Fetch standard, CORS-safelisted request headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from router.edge.negotiation import media_type
from router.errors import ClientError

UNASKED_CONTENT_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


def check_preflight(method: str, headers: Mapping[str, str], trusted: Sequence[str]) -> None:
    """Refuse a request that no preflight can have preceded. Errors: CSRF_PREVENTED.

    A GET without `Sec-Fetch-Site` comes from no browser of this decade and can only read.
    """
    if any(headers.get(name) for name in trusted):
        return
    if method == "POST":
        media = media_type(headers.get("content-type", "text/plain"))
        unasked = media is None or media.name in UNASKED_CONTENT_TYPES
    else:
        unasked = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    if unasked:
        raise ClientError(
            f"the request could be another site's; send the header `{trusted[0]}: 1` with it"
            if trusted
            else "the request could be another site's; send JSON",
            code="CSRF_PREVENTED",
        )
