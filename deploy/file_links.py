"""Links to files of the platform: made for somebody who may read one, and asked about again at each use.

A domain has decided -> a link that seals who asked, and what was decided -> `/files` -> the session still
runs, every decision is taken anew -> bytes. So a link ends with its time, its session, or the right it was
made by. On S3 the bucket serves: such a link cannot be asked about, and ends sooner.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authz.identity.kept_revocations import KeptRevocations
from authz.identity.revocation import TOKEN_LIFETIME, RevokedSessions
from authz.identity.subject import Subject
from authz.question import Question
from datastores.blobs.files import FileBlobs
from datastores.blobs.links import SignedLinks
from datastores.blobs.port import Blobs, Download
from subgraphs.training.ports import FileLink, OriginalFile

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from deploy.assemble import Platform

VALID_S = 300
UNASKED_VALID_S = 60
"""So long a link is good that nobody can be asked about."""
_NONCE_BYTES = 12
_CONTEXT = b"stadion file grant 1"


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may read a file by a link, because these questions were answered with yes, and the whole of it."""

    subject: Subject
    questions: tuple[Question, ...]


class FileLinks:
    """Makes links to `blobs` for people. `key`, 32 bytes, seals whom they are for; `base_url` is where the
    files store is served."""

    def __init__(self, blobs: Blobs, key: bytes, *, base_url: str) -> None:
        self._blobs = blobs
        self._seal = AESGCM(key)
        self.links = SignedLinks(base_url, key)
        if isinstance(blobs, FileBlobs):
            blobs.serve_by(self.links)

    async def link(
        self, subject: Subject, file: OriginalFile, questions: Sequence[Question], *, now: datetime
    ) -> FileLink:
        """A link for `subject`, to whom `questions` were just answered with yes."""
        asked = isinstance(self._blobs, FileBlobs)
        until = now + timedelta(seconds=VALID_S if asked else UNASKED_VALID_S)
        until = min(until, subject.expires_at_utc or until)
        valid_s = max(1.0, (until - now).total_seconds())
        grant = self.sealed(Grant(subject, tuple(questions))) if asked else ""
        about = Download(file_name=file.name, sha256=file.sha256, grant=grant)
        return FileLink(await self._blobs.download_link(file.key, valid_s=valid_s, about=about), until)

    def sealed(self, grant: Grant) -> str:
        """A grant as a link carries it: nobody else reads who it is for."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._seal.encrypt(nonce, msgspec.json.encode(grant), _CONTEXT)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def opened(self, sealed: str) -> Grant | None:
        """The grant inside; None where it was not made here."""
        try:
            raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_", validate=True)
            plain = self._seal.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _CONTEXT)
            return msgspec.json.decode(plain, type=Grant)
        except (ValueError, InvalidTag, msgspec.DecodeError):
            return None


def file_links(platform: Platform) -> FileLinks:
    """Those of a platform."""
    base_url = platform.settings.files_url
    return FileLinks(platform.stores.blobs, platform.secrets("file-links"), base_url=base_url)


def file_routes(platform: Platform, *, at: str | None = None) -> tuple[BaseRoute, ...]:
    """Where links lead: `at`, the path of `STADION_FILES_URL` unless given; nowhere where a bucket serves."""
    from urllib.parse import urlsplit

    from starlette.routing import Mount

    from datastores.blobs.serving import BlobLinks

    blobs, made = platform.stores.blobs, file_links(platform)
    if not isinstance(blobs, FileBlobs):
        return ()

    kept = KeptRevocations(platform.stores.facts_rows, RevokedSessions(), clock=platform.now)

    async def still(sealed: str) -> bool:
        grant = made.opened(sealed)
        if grant is None or not platform.verifier.still_valid(grant.subject):
            return False
        if await _is_revoked(grant.subject, kept):
            return False
        answers = await platform.authorizer.for_request(grant.subject).decide(grant.questions)
        return bool(answers) and all(each.allowed and each.mask is None for each in answers)

    app = BlobLinks(blobs, made.links, still=still, clock_s=lambda: platform.now().timestamp())
    return (Mount(at or urlsplit(platform.settings.files_url).path, app),)


async def _is_revoked(subject: Subject, kept: KeptRevocations) -> bool:
    """Whether the session, or all that its holder was given, was revoked since, in whatever process."""
    if subject.expires_at_utc is None:
        return True
    ended = {each.revoked_id for each in await kept.since(subject.expires_at_utc - TOKEN_LIFETIME)}
    return not ended.isdisjoint({subject.session_id, subject.client_id, subject.id})
