"""The embedded blobs adapter: one file a key, written aside and linked into its place when it is whole."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from datastores.blobs.incoming import IncomingFile, IncomingFolder
from datastores.blobs.links import SignedLinks, Terms
from datastores.blobs.port import (
    PLAIN,
    UPLOAD_KEPT_S,
    Blob,
    Download,
    NotAsTold,
    Upload,
    check_key,
    check_range,
    check_valid_s,
)
from datastores.errors import Conflict, NotFound, Unavailable
from datastores.folder import fsync_folder

T = TypeVar("T")
_CHUNK_BYTES = 256 * 1024
_WRITE_BYTES = 1024 * 1024
_NO_LINKS = "links to files need an address under which they are served: give `links`"


class FileBlobs:
    """`Blobs` in a folder. A put is on disk, name and all, before it is acknowledged."""

    def __init__(
        self,
        folder: Path,
        *,
        links: SignedLinks | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._kept = folder / "kept"
        self._incoming = IncomingFolder(folder / "incoming")
        self._uploads = folder / "uploads"
        self._links = links
        self._clock_s = clock_s

    def serve_by(self, links: SignedLinks) -> None:
        """Make links with these from now on."""
        self._links = links

    async def open(self) -> None:
        """Make the folders and sweep away what a killed process left half written; of those that live,
        nothing."""
        await asyncio.to_thread(self._open)

    async def ready(self) -> None:
        """Raise Unavailable where bytes cannot be written now."""
        await asyncio.to_thread(self._try_writing)

    async def close(self) -> None:
        """Let go of the folder for what comes in; whatever is half written is gone."""
        await asyncio.to_thread(self._incoming.close)

    async def put(self, key: str, content: AsyncIterable[bytes], *, size_bytes_max: int) -> Blob:
        """Store; Conflict where the key exists with other bytes, ValueError past `size_bytes_max`."""
        place = self._place(key)

        def name(aside: Path, sha256: str) -> Blob:
            _link(aside, place, blob := Blob(key, aside.stat().st_size, sha256))
            return blob

        return await self._receive(content, size_bytes_max, name)

    async def get(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 256 KB; NotFound."""
        check_range(start, end)
        async for chunk in _chunks(self._place(key), start, end, f"no blob `{key}`"):
            yield chunk

    async def list_keys(self) -> AsyncIterator[str]:
        """Every key, a folder after the other."""
        folders = [self._kept]
        while folders:
            found = await asyncio.to_thread(_listed, folders.pop())
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                else:
                    yield Path(entry.path).relative_to(self._kept).as_posix()

    async def size_bytes(self, key: str) -> int:
        """How long a blob is; NotFound."""
        place = self._place(key)
        try:
            found = await asyncio.to_thread(place.stat)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"no blob `{key}`") from None
        except OSError as error:
            raise _unavailable(error) from error
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"no blob `{key}`")
        return found.st_size

    async def download_link(self, key: str, *, valid_s: float, about: Download = PLAIN) -> str:
        """A signed URL for `key`. Errors: ValueError where links are served nowhere."""
        check_key(key)
        check_valid_s(valid_s)
        terms = Terms(file_name=about.file_name, sha256=about.sha256, grant=about.grant)
        return self._signed().url("GET", key, until_s=self._clock_s() + valid_s, terms=terms)

    async def upload_link(
        self, *, valid_s: float, size_bytes_max: int, size_bytes: int | None = None, sha256: str | None = None
    ) -> Upload:
        """A signed URL for one new upload."""
        check_valid_s(valid_s)
        upload_id = secrets.token_hex(16)
        until_s = self._clock_s() + valid_s
        terms = Terms(size_bytes_max=size_bytes_max, size_bytes=size_bytes, sha256=sha256 or "")
        return Upload(upload_id, self._signed().url("PUT", upload_id, until_s=until_s, terms=terms))

    async def receive(
        self,
        upload_id: str,
        content: AsyncIterable[bytes],
        *,
        size_bytes_max: int,
        size_bytes: int | None = None,
        sha256: str | None = None,
    ) -> None:
        """Keep what came by the link of `upload_id`. Conflict where something came before; NotAsTold where it
        has not the size or hash that its link tells."""
        place = self._upload(upload_id)

        def name(aside: Path, came_sha256: str) -> None:
            came = Blob(upload_id, aside.stat().st_size, came_sha256)
            if size_bytes not in (None, came.size_bytes) or sha256 not in (None, came.sha256):
                raise NotAsTold("the upload is not what its link tells")
            _link(aside, place, came)

        await self._receive(content, size_bytes_max, name)

    async def accept(
        self, upload_id: str, key: str, *, size_bytes_max: int, sha256: str | None = None
    ) -> Blob:
        """Give what came by a link its key, without copying it."""
        upload, place = self._upload(upload_id), self._place(key)
        try:
            return await asyncio.to_thread(_accept, upload, place, key, size_bytes_max, sha256)
        except FileNotFoundError:
            raise NotFound("nothing came by this upload link, or it was accepted before") from None
        except OSError as error:
            raise _unavailable(error) from error

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        await asyncio.to_thread(_unlink, self._place(key))

    def _place(self, key: str) -> Path:
        check_key(key)
        return self._kept.joinpath(*key.split("/"))

    def _upload(self, upload_id: str) -> Path:
        if "/" in upload_id:
            raise ValueError("the id of an upload comes from `upload_link`; its key holds no slash")
        check_key(upload_id)
        return self._uploads / upload_id

    def _signed(self) -> SignedLinks:
        if self._links is None:
            raise ValueError(_NO_LINKS)
        return self._links

    async def _receive(
        self, content: AsyncIterable[bytes], size_bytes_max: int, name: Callable[[Path, str], T]
    ) -> T:
        """What `name` gives for the file with all of `content`, which is on disk then, and its hash.

        It runs with the last write: a journey to another thread costs as much as writing 100 kB.
        """
        waiting: list[bytes] = []
        waiting_bytes = size_bytes = 0
        try:
            incoming = IncomingFile(self._incoming.new_file())
        except OSError as error:
            raise _unavailable(error) from error
        try:
            async for chunk in content:
                size_bytes += len(chunk)
                if size_bytes > size_bytes_max:
                    raise ValueError(f"the content is larger than {size_bytes_max} bytes")
                waiting.append(chunk)
                waiting_bytes += len(chunk)
                if waiting_bytes >= _WRITE_BYTES:
                    await asyncio.to_thread(incoming.append, waiting)
                    waiting, waiting_bytes = [], 0
            return await asyncio.to_thread(incoming.finish, waiting, name)
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            if not incoming.is_gone:
                # To its end, also where the caller leaves a second time: else the file lies there for good.
                await asyncio.shield(asyncio.to_thread(incoming.remove))

    def _open(self) -> None:
        try:
            self._kept.mkdir(parents=True, exist_ok=True)
            self._uploads.mkdir(parents=True, exist_ok=True)
            self._incoming.open()
            for waiting in self._uploads.iterdir():
                if waiting.stat().st_mtime < self._clock_s() - UPLOAD_KEPT_S:
                    waiting.unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(error) from error

    def _try_writing(self) -> None:
        try:
            probe = self._incoming.new_file()
            probe.write_bytes(b"?")
            probe.unlink()
        except OSError as error:
            raise _unavailable(error) from error


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unavailable(error) from error


async def _chunks(place: Path, start: int, end: int | None, missing: str) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(place.open, "rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFound(missing) from None
    except OSError as error:
        raise _unavailable(error) from error
    try:
        file.seek(start)
        left = None if end is None else end - start
        while left is None or left > 0:
            wanted = _CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES)
            chunk = await asyncio.to_thread(file.read, wanted)
            if not chunk:
                return
            left = None if left is None else left - len(chunk)
            yield chunk
    except OSError as error:
        raise _unavailable(error) from error
    finally:
        file.close()


def _accept(upload: Path, place: Path, key: str, size_bytes_max: int, sha256: str | None) -> Blob:
    blob = Blob(key, upload.stat().st_size, _sha256(upload))
    try:
        if blob.size_bytes > size_bytes_max:
            raise ValueError(f"the upload is larger than {size_bytes_max} bytes")
        if sha256 is not None and sha256 != blob.sha256:
            raise ValueError("the upload is not what its hash tells")
        _link(upload, place, blob)
    finally:
        upload.unlink(missing_ok=True)
    return blob


def _link(temporary: Path, place: Path, blob: Blob) -> None:
    """Give the finished bytes their name. A link, not a rename: it never replaces what is there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(temporary, place)
    except (FileExistsError, NotADirectoryError):
        if not place.is_file() or _sha256(place) != blob.sha256:
            raise Conflict(f"the blob `{blob.key}` is already there with other content") from None
    fsync_folder(place.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unlink(place: Path) -> None:
    try:
        place.unlink(missing_ok=True)
        if place.parent.is_dir():
            fsync_folder(place.parent)
    except (NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> Unavailable:
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    return Unavailable(f"blobs cannot be read or written: {why}")
