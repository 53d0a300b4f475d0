"""What a record is, how it is hashed, and what is wrong with a chain. Pure.

hash = SHA-256 of the record's canonical JSON, which holds the hash of the record before it.
Source: RFC 8785 (JSON Canonicalization Scheme) for records, whose values are text, integers, lists and null.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIRST_PREV_HASH = "0" * 64
RECORDS_PER_CHECKPOINT = 100
PSEUDONYM_DIGITS = 32
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One link of the chain. `actor`, `on_behalf_of`, `target` and `session` are pseudonyms.

    `number` counts from 1 without a gap. `event_id` and `entry` name what it was made of, so that an event
    that comes twice is one record. `at` is when it happened, UTC text with microseconds.
    """

    number: int
    id: str
    event_id: str
    entry: int
    at: str
    subgraph: str
    actor: str | None
    on_behalf_of: str | None
    client: str | None
    session: str | None
    purpose: str | None
    action: str
    target: str | None
    data_class: str | None
    fields: tuple[str, ...]
    decision: str
    rule: str
    outcome: str
    trace_id: str
    prev_hash: str
    hash: str

    @property
    def at_utc(self) -> datetime:
        """When it happened."""
        return datetime.strptime(self.at, TIME_FORMAT).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed word that the chain's record `number` had this `hash`."""

    number: int
    hash: str
    at: str
    signature: str


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that was done to the chain after it was written: what, and at which record."""

    code: str
    number: int
    message: str

    def __str__(self) -> str:
        return f"record {self.number}: {self.message}"


COLUMNS = tuple(each.name for each in fields(AuditRecord))


def canonical(record: AuditRecord) -> bytes:
    """The bytes that are hashed: everything but the hash."""
    content = asdict(record)
    del content["hash"]
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def linked(record: AuditRecord, *, number: int, prev_hash: str) -> AuditRecord:
    """The record as the chain's next link."""
    placed = replace(record, number=number, prev_hash=prev_hash)
    return replace(placed, hash=hashlib.sha256(canonical(placed)).hexdigest())


class Pseudonyms:
    """Keyed names of people: the same for the same person, and nothing to who has not the key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a key of pseudonyms has at least 32 bytes")
        self._key = key

    def of(self, kind: str, plain_id: str) -> str:
        """32 hex digits for a `subject` or `session`.  Source: HMAC-SHA-256, cut."""
        digest = hmac.new(self._key, f"{kind}:{plain_id}".encode(), hashlib.sha256).hexdigest()
        return digest[:PSEUDONYM_DIGITS]


class Seal:
    """Signs checkpoints. `seed` is the private key's 32 bytes; the public key checks without it."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._private.public_key()

    @property
    def public_key(self) -> str:
        """The key that checks signatures, 64 hex digits."""
        return self._public.public_bytes_raw().hex()

    def checkpoint(self, number: int, hash: str, at: str) -> Checkpoint:
        """The signed word about a record."""
        return Checkpoint(number, hash, at, self._private.sign(_signed_text(number, hash, at)).hex())

    def holds(self, checkpoint: Checkpoint) -> bool:
        """Whether it was this seal that signed it."""
        text = _signed_text(checkpoint.number, checkpoint.hash, checkpoint.at)
        try:
            self._public.verify(bytes.fromhex(checkpoint.signature), text)
        except (InvalidSignature, ValueError):
            return False
        return True


def _signed_text(number: int, hash: str, at: str) -> bytes:
    return f"stadion-audit:{number}:{hash}:{at}".encode()


@dataclass(slots=True)
class ChainCheck:
    """Walks a chain in parts, in the order of its numbers, and remembers what it needs of what went by.

    Give all checkpoints, and the head: the signed word about the last record, None for a chain without any.
    """

    seal: Seal
    checkpoints: dict[int, Checkpoint]
    head: Checkpoint | None
    expected: int = 1
    prev_hash: str = FIRST_PREV_HASH
    records: int = 0
    trusted: int = 0

    def walk(self, records: Iterable[AuditRecord]) -> Iterator[Damage]:
        """The damage in the next records."""
        for record in records:
            self.records += 1
            yield from self._gap(record)
            told = hashlib.sha256(canonical(record)).hexdigest()
            if told != record.hash:
                yield Damage("EDITED", record.number, "its content does not have its hash: it was edited")
            elif record.number == self.expected and record.prev_hash != self.prev_hash:
                yield Damage(
                    "REORDERED", record.number, "it does not follow the record before it: moved or replaced"
                )
            yield from self._against_checkpoint(record)
            self.expected, self.prev_hash = record.number + 1, record.hash

    def end(self) -> Iterator[Damage]:
        """The damage that shows at the end: a tail cut off, checkpoints of records that are not there."""
        last = self.expected - 1
        if self.head is None:
            if self.records:
                yield Damage("NO_HEAD", last, "the signed word about the last record is missing")
            return
        if not self.seal.holds(self.head):
            yield Damage(
                "FORGED_HEAD", self.head.number, "the word about the last record is not signed by us"
            )
        elif self.head.number > last:
            missing = f"{last + 1} to {self.head.number}" if self.head.number > last + 1 else f"{last + 1}"
            yield Damage("REMOVED", last + 1, f"removed, with all up to the end ({missing})")
        elif self.head.number < last:
            yield Damage("ADDED", self.head.number + 1, "it was added past the signed end of the chain")
        elif self.head.hash != self.prev_hash:
            yield Damage("REWRITTEN", last, self._since_trusted())

    def _gap(self, record: AuditRecord) -> Iterator[Damage]:
        if record.number > self.expected:
            upto = record.number - 1
            which = "it was removed" if upto == self.expected else f"removed, with all up to {upto}"
            yield Damage("REMOVED", self.expected, which)

    def _against_checkpoint(self, record: AuditRecord) -> Iterator[Damage]:
        checkpoint = self.checkpoints.pop(record.number, None)
        if checkpoint is None:
            if record.number % RECORDS_PER_CHECKPOINT == 0:
                yield Damage("NO_CHECKPOINT", record.number, "its checkpoint is missing")
        elif not self.seal.holds(checkpoint):
            yield Damage("FORGED_CHECKPOINT", record.number, "its checkpoint is not signed by us")
        elif checkpoint.hash != record.hash:
            yield Damage("REWRITTEN", record.number, self._since_trusted())
        else:
            self.trusted = record.number

    def _since_trusted(self) -> str:
        return f"signed with another hash: the chain was rewritten after record {self.trusted}"


def check_chain(
    records: Sequence[AuditRecord], checkpoints: Iterable[Checkpoint], head: Checkpoint | None, seal: Seal
) -> list[Damage]:
    """All damage of a whole chain, in order."""
    check = ChainCheck(seal, {each.number: each for each in checkpoints}, head)
    return [*check.walk(records), *check.end()]
