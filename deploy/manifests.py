"""Manifests: the documents that clients have registered, read when a router starts and when they change."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.router_command import POLL_S, fail, read_text_file

if TYPE_CHECKING:
    from router.edge.persisted import PersistedDocuments, Registered

log = logging.getLogger("stadion.router.manifests")


def registered_in(path: Path) -> Registered:
    """The documents of a manifest; one clear line and exit code 1 where it names none."""
    from router.edge.persisted import ManifestInvalid, read_manifest

    try:
        return read_manifest(read_text_file(path, "manifest").encode())
    except ManifestInvalid as error:
        fail(f"`{path}`: {error}")


async def follow_manifest(path: Path, documents: PersistedDocuments, *, every_s: float = POLL_S) -> None:
    """Put the manifest in force anew whenever it changes; one that cannot be read leaves the old one."""
    from router.edge.persisted import read_manifest
    from router.telemetry import reloads_count

    seen: bytes | None = None
    while True:
        try:
            found = await asyncio.to_thread(path.read_bytes)
            if seen not in {None, found}:
                documents.take(read_manifest(found))
                reloads_count.add(1, {"what": "manifest", "outcome": "done"})
                log.info("the manifest `%s` was read anew", path)
            seen = found
        except (OSError, ValueError) as error:
            reloads_count.add(1, {"what": "manifest", "outcome": "failed"})
            log.error("the manifest `%s` was not read anew: %s", path, error)
        await asyncio.sleep(every_s)
