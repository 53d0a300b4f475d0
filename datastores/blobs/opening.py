"""Chooses the blobs adapter by URL: `file:///folder`."""

from __future__ import annotations

from datastores.blobs.files import FileBlobs
from datastores.blobs.port import Blobs
from datastores.config import StoreUrlProblem, parse_store_url


def open_blobs(url: str) -> Blobs:
    """The adapter for `url`, not yet open. `file:///relative/folder`, `file:////absolute/folder`.

    Errors: StoreUrlProblem.
    """
    path = parse_store_url(url, schemes=("file",)).path
    if path is None:
        raise StoreUrlProblem("`file://` needs a path: `file:///folder`")
    return FileBlobs(path)
