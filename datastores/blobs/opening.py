"""Chooses the blobs adapter by URL: `file:///folder`, `s3://bucket` or `s3+https://…`."""

from __future__ import annotations

from datastores.blobs.files import FileBlobs
from datastores.blobs.links import SignedLinks
from datastores.blobs.port import Blobs
from datastores.config import StoreUrlProblem, parse_store_url


def open_blobs(url: str, *, links: SignedLinks | None = None) -> Blobs:
    """The adapter for `url`, not yet open. `file:///relative/folder`, `file:////absolute/folder`,
    `s3://bucket?region=…`, `s3+https://key:secret@host/bucket`. `links` are for files alone.

    Errors: StoreUrlProblem, which never repeats the secret.
    """
    if url.startswith(("s3:", "s3+")):
        # Its client is loaded where it is used: most programs keep their files in a folder.
        from datastores.blobs.s3 import S3Blobs

        return S3Blobs(url)
    path = parse_store_url(url, schemes=("file",)).path
    if path is None:
        raise StoreUrlProblem("`file://` needs a path: `file:///folder`")
    return FileBlobs(path, links=links)
