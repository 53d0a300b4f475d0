"""Where each store is: URLs as text in, checked values out. Knows no environment and opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from datastores.errors import StoreError


class StoreUrlProblem(StoreError):
    """A store's URL cannot be used; the message says what to write and holds no password."""


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A store URL taken apart. `path` is set for `file` and `sqlite`."""

    scheme: str
    path: Path | None


def parse_store_url(url: str, *, schemes: tuple[str, ...]) -> StoreUrl:
    """The parts of `url`; its scheme must be one of `schemes`.

    `sqlite:///a.db` and `file:///a` are relative to the working folder; four slashes make them absolute.
    """
    parts = urlsplit(url)
    if parts.scheme not in schemes:
        allowed = ", ".join(f"`{scheme}://`" for scheme in schemes)
        raise StoreUrlProblem(f"no store for `{parts.scheme}://` here: use one of {allowed}")
    if parts.scheme not in ("file", "sqlite"):
        return StoreUrl(scheme=parts.scheme, path=None)
    if parts.netloc or len(parts.path) < 2:
        raise StoreUrlProblem(f"`{parts.scheme}://` needs a path: `{parts.scheme}:///folder/name`")
    return StoreUrl(scheme=parts.scheme, path=Path(unquote(parts.path[1:])))
