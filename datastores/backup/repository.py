"""A place of backups in any blob store: chunks by content, a manifest a backup, an append-only catalogue."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from datastores.backup.chunking import CHUNK_BYTES_MAX, Chunker
from datastores.backup.errors import BackupDamaged
from datastores.backup.sealing import KEY_BYTES, RepositoryKey
from datastores.blobs.files import FileBlobs
from datastores.blobs.port import Blobs
from datastores.errors import Conflict, NotFound, StoreError
from datastores.vault.keys import KeyProvider, WrappedKey

MANIFEST_BYTES_MAX = 4 * 1024**3
_ENTRY_BYTES_MAX = 64 * 1024
_SEALED_MORE_BYTES = 1024
_CONTEXT = b"stadion backup repository 1"
_FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the catalogue: what was done when, to which backup, how it ended.

    `kind` is `backup`, `base` (a whole cluster), `restore`, `drill`, `removed`, or `trimmed` (a log); `told`
    is a sentence where it failed, or what was trimmed.
    """

    kind: str
    backup_id: str
    at_utc: str
    took_s: float
    ok: bool
    told: str = ""
    manifest_sha256: str = ""
    rows: int = 0
    blobs: int = 0
    bytes_whole: int = 0
    bytes_added: int = 0
    number: int = 0
    previous: str = _FIRST


class Repository:
    """Backups in `blobs`, under a key that `keys` wraps; the wrapped key lies beside the chunks.

    Several processes may write one: chunks are named by their content, entries of the catalogue are taken
    in turn. Errors: BackupDamaged, NotFound for a backup that is not there, Unavailable.
    """

    def __init__(self, blobs: Blobs, keys: KeyProvider) -> None:
        self._blobs = blobs
        self._keys = keys
        self._key: RepositoryKey | None = None
        self._known: set[str] = set()
        self._entries: list[Entry] = []
        self._last_hash = _FIRST
        self.bytes_added = 0

    async def open(self, *, create: bool) -> None:
        """Open the place; make it where it is new and `create`.

        Errors: NotFound where it is no repository, or its key is not to be had.
        """
        # To look for a backup leaves a folder that is none as it was.
        if create or not isinstance(self._blobs, FileBlobs) or await self._is_there():
            await self._blobs.open()
        kept = await self._read("repository", _ENTRY_BYTES_MAX)
        if kept is None:
            if not create:
                raise NotFound("there is no backup here: look at the URL, or make one with `stadion backup`")
            await self._keys.open(create=True)
            wrapped = await self._keys.wrap(os.urandom(KEY_BYTES), context=_CONTEXT)
            document = {"version": 1, "kek_id": wrapped.kek_id, "wrapped": _text(wrapped.wrapped)}
            await self._put("repository", json.dumps(document).encode())
        else:
            await self._keys.open(create=False)
            wrapped = _wrapped_in(kept)
        self._key = RepositoryKey(await self._keys.unwrap(wrapped, context=_CONTEXT))

    async def close(self) -> None:
        """Forget the key, then give back the place."""
        self._key = None
        await self._blobs.close()

    @property
    def key(self) -> RepositoryKey:
        """The key, while it is open."""
        if self._key is None:
            raise StoreError("the backup repository is not open")
        return self._key

    def stream(self) -> ChunkStream:
        """A new run of chunks to write."""
        return ChunkStream(self, Chunker(self.key.gear))

    async def put_chunk(self, content: bytes) -> str:
        """Keep a chunk, unless an equal one is there; its name."""
        name = self.key.name_of(content)
        if name not in self._known:
            sealed = await asyncio.to_thread(self.key.seal, name, content)
            try:
                await self._put(_chunk(name), sealed)
                self.bytes_added += len(sealed)
            except Conflict:
                pass  # an equal chunk, sealed with another nonce
            self._known.add(name)
        return name

    async def chunks(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """The content of chunks, in order.  Errors: BackupDamaged."""
        for name in names:
            sealed = await self._read(_chunk(name), CHUNK_BYTES_MAX + _SEALED_MORE_BYTES)
            if sealed is None:
                raise BackupDamaged(f"the chunk `{name}` of the backup is missing")
            content = await asyncio.to_thread(self.key.unseal, name, sealed)
            if not hmac.compare_digest(self.key.name_of(content), name):
                raise BackupDamaged(f"the chunk `{name}` of the backup holds something else")
            yield content

    async def put_manifest(self, backup_id: str, manifest: dict[str, Any]) -> str:
        """Keep what a backup consists of; the SHA-256 of its bytes as they are kept."""
        sealed = await asyncio.to_thread(self.key.seal, f"backups/{backup_id}", orjson.dumps(manifest))
        await self._put(f"backups/{backup_id}", sealed)
        return hashlib.sha256(sealed).hexdigest()

    async def manifest(self, entry: Entry) -> dict[str, Any]:
        """What the backup of `entry` consists of."""
        name = f"backups/{entry.backup_id}"
        sealed = await self._read(name, MANIFEST_BYTES_MAX)
        if sealed is None:
            raise BackupDamaged(
                f"the backup `{entry.backup_id}` is in the catalogue, but its manifest is gone"
            )
        if hashlib.sha256(sealed).hexdigest() != entry.manifest_sha256:
            raise BackupDamaged(f"the manifest of `{entry.backup_id}` is not the one that was written")
        manifest: dict[str, Any] = orjson.loads(await asyncio.to_thread(self.key.unseal, name, sealed))
        return manifest

    async def catalogue(self) -> list[Entry]:
        """All entries, oldest first.  Errors: BackupDamaged where one was edited, replaced or taken out."""
        while (line := await self._read(_place(len(self._entries) + 1), _ENTRY_BYTES_MAX)) is not None:
            self._entries.append(self._checked(line))
            self._last_hash = hashlib.sha256(line).hexdigest()
        return list(self._entries)

    async def note(self, entry: Entry) -> Entry:
        """Add to the end of the catalogue."""
        while True:
            number = len(await self.catalogue()) + 1
            placed = replace(entry, number=number, previous=self._last_hash)
            text = orjson.dumps(asdict(placed), option=orjson.OPT_SORT_KEYS)
            line = text + b"\n" + self.key.signature(text).encode()
            try:
                await self._put(_place(number), line)
            except Conflict:
                continue  # another process was first: after it, then
            return placed

    async def backups(self, kind: str = "backup") -> list[Entry]:
        """The backups that can be restored, oldest first; `base` are those of whole clusters."""
        entries = await self.catalogue()
        removed = {entry.backup_id for entry in entries if entry.kind == "removed"}
        return [e for e in entries if e.kind == kind and e.ok and e.backup_id not in removed]

    async def forget(self, gone: Iterable[Entry], *, kept: Iterable[Entry]) -> int:
        """Delete backups, and the chunks that none of `kept` uses; how many chunks.

        The catalogue says first that they are removed: a manifest that is cut short is never restored.
        """
        needed = {name for entry in kept for name in chunk_names(await self.manifest(entry))}
        count = 0
        for entry in gone:
            unneeded = chunk_names(await self.manifest(entry)) - needed
            await self.note(replace(entry, kind="removed", told=""))
            for name in unneeded:
                await self._blobs.delete(_chunk(name))
            await self._blobs.delete(f"backups/{entry.backup_id}")
            self._known -= unneeded
            count += len(unneeded)
        return count

    async def put_sealed(self, name: str, content: bytes) -> None:
        """Keep `content` under a name of its own.  Errors: Conflict where the name is taken."""
        await self._put(name, await asyncio.to_thread(self.key.seal, name, content))

    async def read_sealed(self, name: str) -> bytes:
        """What was kept under `name`.  Errors: BackupDamaged."""
        sealed = await self._read(name, MANIFEST_BYTES_MAX)
        if sealed is None:
            raise BackupDamaged(f"`{name}` of the backup is missing")
        return await asyncio.to_thread(self.key.unseal, name, sealed)

    async def delete_sealed(self, name: str) -> None:
        """Remove what was kept under `name`, if anything."""
        await self._blobs.delete(name)

    async def list_sealed(self, prefix: str) -> AsyncIterator[str]:
        """The names that begin with `prefix`."""
        async for name in self._blobs.list_keys():
            if name.startswith(prefix):
                yield name

    def know(self, names: Iterable[str]) -> None:
        """Spare asking for chunks that an earlier backup consists of."""
        self._known.update(names)

    def _checked(self, line: bytes) -> Entry:
        number, previous = len(self._entries) + 1, self._last_hash
        text, _, signature = line.partition(b"\n")
        if not hmac.compare_digest(self.key.signature(text).encode(), signature):
            raise BackupDamaged(f"entry {number} of the catalogue was changed")
        entry = Entry(**orjson.loads(text))
        if (entry.number, entry.previous) != (number, previous):
            raise BackupDamaged(f"entry {number} of the catalogue does not follow the one before it")
        return entry

    async def _put(self, name: str, content: bytes) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield content

        await self._blobs.put(name, once(), size_bytes_max=len(content))

    async def _is_there(self) -> bool:
        return await self._read("repository", _ENTRY_BYTES_MAX) is not None

    async def _read(self, name: str, bytes_max: int) -> bytes | None:
        content = bytearray()
        try:
            async for part in self._blobs.get(name):
                content += part
                if len(content) > bytes_max:
                    raise BackupDamaged(f"`{name}` of the backup is larger than it can be")
        except NotFound:
            return None
        return bytes(content)


class ChunkStream:
    """Bytes in, names of kept chunks out. Ended once."""

    def __init__(self, repository: Repository, chunker: Chunker) -> None:
        self._repository = repository
        self._chunker = chunker
        self._names: list[str] = []
        self.bytes_whole = 0

    async def feed(self, content: bytes) -> None:
        """Take `content`, and keep the chunks that are complete."""
        self.bytes_whole += len(content)
        for chunk in self._chunker.feed(content):
            self._names.append(await self._repository.put_chunk(chunk))

    async def end(self) -> list[str]:
        """Keep the rest; the names of all, in order."""
        for chunk in self._chunker.end():
            self._names.append(await self._repository.put_chunk(chunk))
        return self._names


def chunk_names(manifest: dict[str, Any]) -> set[str]:
    """Every chunk that a manifest needs."""
    tables = [table for store in manifest["stores"].values() for table in store["tables"]]
    return {name for part in (*tables, *manifest["blobs"]) for name in part["chunks"]}


def _chunk(name: str) -> str:
    return f"chunks/{name[:2]}/{name}"


def _place(number: int) -> str:
    return f"catalogue/{number:08d}"


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _wrapped_in(kept: bytes) -> WrappedKey:
    try:
        document = json.loads(kept)
        return WrappedKey(document["kek_id"], base64.b64decode(document["wrapped"], validate=True))
    except (ValueError, KeyError, TypeError):
        raise BackupDamaged("the file `repository` of the backups is damaged") from None
