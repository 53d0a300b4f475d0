"""The embedded blobs adapter: one file a key, written aside and linked into its place when it is whole."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import BinaryIO

from datastores.blobs.port import Blob
from datastores.errors import Conflict, NotFound, Unavailable
from datastores.folder import fsync_folder

_CHUNK_BYTES = 256 * 1024
_KEY_CHARACTERS_MAX = 512
_SEGMENT = re.compile(r"[A-Za-z0-9._-]{1,128}")


class FileBlobs:
    """`Blobs` in a folder. A put is on disk, name and all, before it is acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kept"
        self._incoming = folder / "incoming"

    async def open(self) -> None:
        """Make the folders and sweep away what a killed process left half written."""
        await asyncio.to_thread(self._open)

    async def ready(self) -> None:
        """Raise Unavailable where bytes cannot be written now."""
        await asyncio.to_thread(self._try_writing)

    async def close(self) -> None:
        """Nothing is held between calls."""

    async def put(self, key: str, content: AsyncIterable[bytes], *, size_bytes_max: int) -> Blob:
        """Store; Conflict where the key exists with other bytes, ValueError past `size_bytes_max`."""
        place = self._place(key)
        temporary = self._incoming / secrets.token_hex(16)
        try:
            size_bytes, sha256 = await self._receive(temporary, content, size_bytes_max)
            blob = Blob(key, size_bytes, sha256)
            await asyncio.to_thread(_link, temporary, place, blob)
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            await asyncio.to_thread(temporary.unlink, missing_ok=True)
        return blob

    async def get(self, key: str) -> AsyncIterator[bytes]:
        """The bytes in chunks of at most 256 KB; NotFound."""
        place = self._place(key)
        try:
            file = await asyncio.to_thread(place.open, "rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(f"no blob `{key}`") from None
        try:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise _unavailable(error) from error
        finally:
            file.close()

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

    async def delete(self, key: str) -> None:
        """Remove; nothing happens where there is nothing."""
        await asyncio.to_thread(_unlink, self._place(key))

    def _place(self, key: str) -> Path:
        segments = key.split("/")
        safe = all(_SEGMENT.fullmatch(segment) and segment.strip(".") for segment in segments)
        if not safe or len(key) > _KEY_CHARACTERS_MAX:
            raise ValueError("a blob's key is made of `[A-Za-z0-9._-]` segments with slashes between them")
        return self._kept.joinpath(*segments)

    async def _receive(
        self, temporary: Path, content: AsyncIterable[bytes], size_bytes_max: int
    ) -> tuple[int, str]:
        digest = hashlib.sha256()
        size_bytes = 0
        file = await asyncio.to_thread(_create, temporary)
        try:
            async for chunk in content:
                size_bytes += len(chunk)
                if size_bytes > size_bytes_max:
                    raise ValueError(f"the content is larger than {size_bytes_max} bytes")
                await asyncio.to_thread(_append, file, digest, chunk)
            await asyncio.to_thread(_flush, file)
        finally:
            file.close()
        return size_bytes, digest.hexdigest()

    def _open(self) -> None:
        try:
            self._kept.mkdir(parents=True, exist_ok=True)
            self._incoming.mkdir(parents=True, exist_ok=True)
            for leftover in self._incoming.iterdir():
                leftover.unlink()
        except OSError as error:
            raise _unavailable(error) from error

    def _try_writing(self) -> None:
        probe = self._incoming / f"probe-{secrets.token_hex(4)}"
        try:
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


def _create(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb", buffering=_CHUNK_BYTES)


def _append(file: BinaryIO, digest: hashlib._Hash, chunk: bytes) -> None:
    digest.update(chunk)
    file.write(chunk)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


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
