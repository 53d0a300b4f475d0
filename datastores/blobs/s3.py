"""Blobs in an S3 bucket through obstore: keys below `kept/`, what came by links below `uploads/`."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from datastores.blobs.port import (
    PLAIN,
    UPLOAD_KEPT_S,
    Blob,
    Download,
    Upload,
    check_key,
    check_range,
    check_valid_s,
)
from datastores.blobs.presign import S3Place
from datastores.config import StoreUrlProblem
from datastores.errors import Conflict, NotFound, Unavailable

log = logging.getLogger(__name__)
# Up to here one conditional PUT does it. S3 takes 5 MiB for the smallest part of a larger one.
_WHOLE_BYTES_MAX = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_FORM = (
    "an S3 URL looks like `s3://bucket?region=eu-central-1`, with the credentials that the machine has, or"
    " `s3+https://key:secret@host/bucket` for another server"
)


@dataclass(frozen=True, slots=True)
class S3Limits:
    """Bounds of one client. Requests are repeated where that is safe, after a pause with jitter."""

    connect_timeout_s: float = 3.0
    request_timeout_s: float = 60.0
    ready_timeout_s: float = 3.0
    retries_max: int = 3
    retry_time_s: float = 10.0
    backoff_first_s: float = 0.05
    backoff_max_s: float = 1.0


class S3Blobs:
    """`Blobs` in a bucket that is there already. Uploads by link end after a day where nobody accepts them.

    A put is conditional: of two at one key the server lets one through, whatever machine they came from.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: S3Limits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits or S3Limits()
        self._store, self._bucket = _store(url, self._limits)
        self._place = _place(url)
        self._now = now
        self._open = False

    async def open(self) -> None:
        """Look into the bucket, and sweep away uploads that nobody has accepted."""
        self._open = True
        try:
            await self.ready()
            await self._sweep()
        except BaseException:
            self._open = False
            raise

    async def ready(self) -> None:
        """Raise Unavailable where the bucket cannot be looked into."""
        with self._typed_errors():
            async with asyncio.timeout(self._limits.ready_timeout_s):
                await anext(aiter(obstore.list(self._store, prefix="kept/", chunk_size=1)), None)

    async def close(self) -> None:
        """Nothing is held between calls but idle connections."""
        self._open = False

    async def put(self, key: str, content: AsyncIterable[bytes], *, size_bytes_max: int) -> Blob:
        """Store; Conflict where the key exists with other bytes, ValueError past `size_bytes_max`."""
        check_key(key)
        hashed = _Hashed(content, size_bytes_max)
        whole = await hashed.up_to(_WHOLE_BYTES_MAX)
        if whole is not None:
            return await self._put_whole(Blob(key, hashed.size_bytes, hashed.sha256), whole)
        # In parts under a name that nobody reads; the last step gives it its key, or finds it taken.
        temporary = f"incoming/{secrets.token_hex(16)}"
        try:
            with self._typed_errors():
                await obstore.put_async(self._store, temporary, hashed.all(), use_multipart=True)
            return await self._named(temporary, Blob(key, hashed.size_bytes, hashed.sha256))
        finally:
            await self._remove(temporary)

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes in chunks of about 256 KB; NotFound."""
        check_key(key)
        check_range(start, end)
        with self._typed_errors(missing=f"no blob `{key}`"):
            options: Any = {}
            if start or end is not None:
                size_bytes = (await obstore.head_async(self._store, _kept(key)))["size"]
                end = size_bytes if end is None else min(end, size_bytes)
                if start >= end:
                    return
                options = {"range": (start, end)}
            answer = await obstore.get_async(self._store, _kept(key), options=options)
            async for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)

    async def list_keys(self) -> AsyncIterator[str]:
        """Every key, a page after the other."""
        with self._typed_errors():
            async for page in obstore.list(self._store, prefix="kept/"):
                for entry in page:
                    yield entry["path"].removeprefix("kept/")

    async def download_link(self, key: str, *, valid_s: float, about: Download = PLAIN) -> str:
        """A presigned URL for `key`. It ends with its time alone: a grant is not asked about again."""
        check_key(key)
        check_valid_s(valid_s)
        if self._place is None or not about.file_name:
            return await self._signed("GET", _kept(key), valid_s)
        called = f"attachment; filename*=UTF-8''{quote(about.file_name, safe='')}"
        query = {"response-content-disposition": called}
        return self._place.presigned("GET", _kept(key), valid_s=valid_s, at_utc=self._now(), query=query)

    async def upload_link(
        self, *, valid_s: float, size_bytes_max: int, size_bytes: int | None = None, sha256: str | None = None
    ) -> Upload:
        """A presigned URL for one new upload. Where the URL of the store has its credentials, size and hash
        are bound by the signature; else, as the limit is, they are checked when it is accepted."""
        check_valid_s(valid_s)
        path = f"uploads/{(upload_id := secrets.token_hex(16))}"
        headers = {}
        if size_bytes is not None:
            headers["content-length"] = str(size_bytes)
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        if self._place is None or not headers:
            return Upload(upload_id, await self._signed("PUT", path, valid_s))
        url = self._place.presigned("PUT", path, valid_s=valid_s, at_utc=self._now(), headers=headers)
        return Upload(upload_id, url, headers)

    async def accept(
        self, upload_id: str, key: str, *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """Check what came by a link and give it its key; the server copies it."""
        check_key(key)
        check_key(upload_id)
        waiting, own = f"uploads/{upload_id}", f"incoming/{secrets.token_hex(16)}"
        try:
            with self._typed_errors(missing="nothing came by this upload link, or it was accepted before"):
                if (await obstore.head_async(self._store, waiting))["size"] > size_bytes_max:
                    raise ValueError(f"the upload is larger than {size_bytes_max} bytes")
                # A copy that the holder of the link can no longer change between our look and its key.
                await obstore.copy_async(self._store, waiting, own)
            blob = await self._looked_at(own, key, size_bytes_max)
            if sha256 is not None and sha256 != blob.sha256:
                raise ValueError("the upload is not what its hash tells")
            return await self._named(own, blob)
        finally:
            await self._remove(waiting, own)

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        check_key(key)
        with self._typed_errors(missing=""):
            await obstore.delete_async(self._store, _kept(key))

    async def _put_whole(self, blob: Blob, content: bytes) -> Blob:
        with self._typed_errors():
            try:
                path = _kept(blob.key)
                await obstore.put_async(self._store, path, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                await self._check_same(blob)
        return blob

    async def _named(self, temporary: str, blob: Blob) -> Blob:
        """Give a whole object its key, where that is free."""
        if blob.size_bytes <= _WHOLE_BYTES_MAX:
            with self._typed_errors():
                answer = await obstore.get_async(self._store, temporary)
                return await self._put_whole(blob, bytes(await answer.bytes_async()))
        with self._typed_errors():
            try:
                await obstore.copy_async(self._store, temporary, _kept(blob.key), overwrite=False)
            except AlreadyExistsError:
                await self._check_same(blob)
        return blob

    async def _looked_at(self, path: str, key: str, size_bytes_max: int) -> Blob:
        """What is at `path`, read through."""
        digest, size_bytes = hashlib.sha256(), 0
        with self._typed_errors():
            answer = await obstore.get_async(self._store, path)
            async for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
                size_bytes += len(chunk)
                digest.update(chunk)
        if size_bytes > size_bytes_max:
            raise ValueError(f"the upload is larger than {size_bytes_max} bytes")
        return Blob(key, size_bytes, digest.hexdigest())

    async def _check_same(self, blob: Blob) -> None:
        """Conflict where the object at the key of `blob` has other bytes."""
        there = await self._looked_at(_kept(blob.key), blob.key, 2**62)
        if there != blob:
            raise Conflict(f"the blob `{blob.key}` is already there with other content")

    async def _remove(self, *paths: str) -> None:
        """Remove what is of no use any more; what stays for now is swept later."""
        for path in paths:
            try:
                await obstore.delete_async(self._store, path)
            except (BaseError, OSError) as error:
                log.warning("an object of S3 that is not needed stays for now: %s", type(error).__name__)

    async def _sweep(self) -> None:
        before = datetime.now(UTC) - timedelta(seconds=UPLOAD_KEPT_S)
        with self._typed_errors():
            for prefix in ("incoming/", "uploads/"):
                async for page in obstore.list(self._store, prefix=prefix):
                    await self._remove(*(each["path"] for each in page if each["last_modified"] < before))

    async def _signed(self, method: Literal["GET", "PUT"], path: str, valid_s: float) -> str:
        with self._typed_errors():
            return await obstore.sign_async(self._store, method, path, timedelta(seconds=valid_s))

    @contextmanager
    def _typed_errors(self, *, missing: str = "") -> Iterator[None]:
        if not self._open:
            raise Unavailable(f"the bucket {self._bucket} is not open")
        try:
            yield
        except FileNotFoundError:
            if missing:
                raise NotFound(missing) from None
            raise Unavailable(f"the bucket {self._bucket} is not there") from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise Unavailable(f"the bucket {self._bucket} refuses the credentials") from None
        except (BaseError, TimeoutError) as error:
            raise Unavailable(f"the bucket {self._bucket} is unavailable: {type(error).__name__}") from None


class _Hashed:
    """Content on its way: counted, hashed, and refused where it is too long."""

    def __init__(self, content: AsyncIterable[bytes], size_bytes_max: int) -> None:
        self._content = aiter(content)
        self._size_bytes_max = size_bytes_max
        self._digest = hashlib.sha256()
        self._first: list[bytes] = []
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """The hash of what has passed."""
        return self._digest.hexdigest()

    async def up_to(self, bytes_max: int) -> bytes | None:
        """All of it where it ends within `bytes_max`; else None, and `all` gives it."""
        async for chunk in self._counted():
            self._first.append(chunk)
            if self.size_bytes > bytes_max:
                return None
        return b"".join(self._first)

    async def all(self) -> AsyncIterator[bytes]:
        """The chunks, from the first on."""
        while self._first:
            yield self._first.pop(0)
        async for chunk in self._counted():
            yield chunk

    async def _counted(self) -> AsyncIterator[bytes]:
        async for chunk in self._content:
            self.size_bytes += len(chunk)
            if self.size_bytes > self._size_bytes_max:
                raise ValueError(f"the content is larger than {self._size_bytes_max} bytes")
            self._digest.update(chunk)
            yield chunk


def _kept(key: str) -> str:
    return f"kept/{key}"


def _place(url: str) -> S3Place | None:
    """Where the bucket is, where the URL says so with credentials."""
    parts = urlsplit(url)
    if not parts.scheme.startswith("s3+") or not parts.username:
        return None
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return S3Place(
        base=f"{parts.scheme[3:]}://{parts.netloc.rpartition('@')[2]}",
        prefix=f"/{parts.path.strip('/')}",
        region=options.get("region", "us-east-1"),
        key_id=unquote(parts.username),
        secret=unquote(parts.password or ""),
    )


def _store(url: str, limits: S3Limits) -> tuple[S3Store, str]:
    """A client for `url`, and its place for messages: never the secret."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    settings: Any = {"region": options.pop("region", "us-east-1")}
    if options or not parts.hostname:
        raise StoreUrlProblem(_FORM)
    if parts.scheme == "s3":
        bucket = parts.hostname
    elif parts.scheme in ("s3+http", "s3+https"):
        bucket = parts.path.strip("/")
        settings["endpoint"] = f"{parts.scheme[3:]}://{parts.netloc.rpartition('@')[2]}"
        settings["access_key_id"] = unquote(parts.username or "")
        settings["secret_access_key"] = unquote(parts.password or "")
    if parts.scheme not in ("s3", "s3+http", "s3+https") or not bucket or "/" in bucket:
        raise StoreUrlProblem(_FORM)
    client: Any = {
        "timeout": timedelta(seconds=limits.request_timeout_s),
        "connect_timeout": timedelta(seconds=limits.connect_timeout_s),
        "allow_http": parts.scheme == "s3+http",
    }
    backoff = {
        "init_backoff": timedelta(seconds=limits.backoff_first_s),
        "max_backoff": timedelta(seconds=limits.backoff_max_s),
        "base": 2,
    }
    retry: Any = {
        "max_retries": limits.retries_max,
        "retry_timeout": timedelta(seconds=limits.retry_time_s),
        "backoff": backoff,
    }
    # Each upload carries its SHA-256, which the server checks; a copy gives way to what is there already.
    checks: Any = {"checksum_algorithm": "SHA256", "copy_if_not_exists": "multipart"}
    store = S3Store(bucket, config=settings | checks, client_options=client, retry_config=retry)
    return store, f"`{bucket}`"
