"""Equal parts of a subgraph's answer, read once: one object in the tree in place of many equal ones.

A long answer often has the same objects again and again. Where the transport gives it as bytes, what
stands below a key is compared as bytes before it is read; what merges and projects then finds one object.

Two objects may be one where nothing can make them differ later: they are selected by the same key of the
same fetch at one path, and no other fetch brings anything to them through their parents (`Sharing.apart`).
What is fetched for the objects themselves is the same for both, as it follows from what they hold.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeAlias, TypedDict

import msgspec
import orjson

from router.errors import SubgraphCallFailed
from router.execution.data_flow import keys_of
from router.execution.rewrites import renamed_keys
from router.execution.run import Run
from router.execution.selected_keys import Keys, SelectedKeys, renamed, selected_keys
from router.planner.plan import Fetch, PathStep

READINGS_MAX: Final = 256
"""Readings kept in a process, by what they read."""
SHARED_PERCENT_MIN: Final = 25
"""Of an answer's bytes; where less is equal, comparing costs more than it saves."""
IDLE_ANSWERS: Final = 200
"""So many answers are read as ever after one of which too little was equal."""

Part: TypeAlias = tuple[str, str, frozenset[Keys]]
"""A key of the answer with entities under it, or ROOT for the answer itself; what is selected there; which
keys' objects stay apart."""
_Parts: TypeAlias = tuple[Part, ...]
ROOT: Final = ""

_INTEGER: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_SCALAR: Final = None | bool | _INTEGER | float | str
_LEAF: Final[Any] = _SCALAR | list[_SCALAR]  # type: ignore[valid-type]
"""What both decoders read alike. Anything else, a custom scalar's object too, has the answer read as ever."""
_MISSING: Final[Any] = object()


class Sharing:
    """The fetches of one plan, asked what of their answers may be one object."""

    __slots__ = ("_brought", "_fetches")

    def __init__(self, fetches: Sequence[tuple[Fetch, tuple[PathStep, ...]]]) -> None:
        self._fetches = tuple(fetches)
        self._brought: Counter[Keys] | None = None

    def apart(self, fetch: Fetch, path: Keys) -> frozenset[Keys]:
        """The keys below `path` to whose objects other fetches bring something through the parents."""
        brought = self._brought
        if brought is None:
            brought = self._brought = Counter(
                keys for one, at in self._fetches for keys in frozenset(_composites(one, keys_of(at)))
            )
        return frozenset(keys[len(path) :] for keys in _composites(fetch, path) if brought[keys] > 1)


def sharing_of(fetches: Sequence[tuple[Fetch, tuple[PathStep, ...]]]) -> Sharing | None:
    """How a plan's answers may be shared; None where more than an object itself says what is asked of it."""
    return None if any(fetch.context_rewrites for fetch, _ in fetches) else Sharing(fetches)


def nests(fetch: Fetch) -> bool:
    """Whether the fetch selects objects in objects, so that some of them may be equal."""
    if fetch.output_rewrites:
        return False  # undoing an alias changes objects in place
    return (fetch.entity_selection or fetch.operation).count("{") > 2


def _composites(fetch: Fetch, path: Keys) -> list[Keys]:
    selected = selected_keys(fetch.entity_selection or fetch.operation)
    found = renamed(selected, renamed_keys(fetch.output_rewrites)).composites()
    return [(*path, *keys) for keys in found]


class FetchPart:
    """How what one fetch brings is read; without `sharing`, all of it stays apart."""

    __slots__ = ("_apart", "_fetch", "_path", "_sharing")

    def __init__(self, fetch: Fetch, path: Keys, sharing: Sharing | None) -> None:
        self._fetch = fetch
        self._path = path
        self._sharing = sharing
        self._apart: frozenset[Keys] | None = None

    def under(self, key: str) -> Part:
        """The part of an answer that has what the fetch selects under this key."""
        apart = self._apart
        if apart is None:
            sharing, fetch = self._sharing, self._fetch
            apart = frozenset(_composites(fetch, ())) if sharing is None else sharing.apart(fetch, self._path)
            self._apart = apart
        return key, self._fetch.entity_selection or self._fetch.operation, apart


class SharedAnswers:
    """Reads the answers of one step; asks for bytes only as long as enough of them is equal."""

    __slots__ = ("_idle", "_service")

    def __init__(self, service: str) -> None:
        self._service = service
        self._idle = 0

    def wanted(self) -> bool:
        """Whether the next answer should come as bytes."""
        if not self._idle:
            return True
        self._idle -= 1
        return False

    def read(self, run: Run, text: bytes, parts: Sequence[Part]) -> dict[str, Any]:
        """The answer's data; the run is told where objects of it are shared.  Errors: SubgraphCallFailed."""
        reading = _reading_of(tuple(parts))
        if reading is not None:
            try:
                data, shared_bytes = reading.read(text)
            except msgspec.DecodeError:
                self._idle = IDLE_ANSWERS
            else:
                run.shares = run.shares or bool(shared_bytes)
                if 100 * shared_bytes < SHARED_PERCENT_MIN * len(text):
                    self._idle = IDLE_ANSWERS
                return data
        try:
            read: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise SubgraphCallFailed(
                self._service, "the answer is not JSON", code="SUBREQUEST_MALFORMED_RESPONSE"
            ) from None
        return read


_readings: OrderedDict[_Parts, _Reading | None] = OrderedDict()


def _reading_of(parts: _Parts) -> _Reading | None:
    """How such answers are read; None for the first of them: most texts come once, or again and again."""
    reading = _readings.get(parts, _MISSING)
    if reading is _MISSING:
        _readings[parts] = None
        if len(_readings) > READINGS_MAX:
            _readings.popitem(last=False)
        return None
    _readings.move_to_end(parts)
    if reading is None:
        reading = _readings[parts] = _Reading(parts)
    found: _Reading = reading
    return found


class _Place:
    """One key below which objects are selected, and whether equal ones of them may be one."""

    __slots__ = ("below", "decode", "shared")

    def __init__(
        self, decode: Callable[[bytes], Any], below: tuple[tuple[str, _Place], ...], *, shared: bool
    ) -> None:
        self.decode = decode
        self.below = below
        self.shared = shared


class _Reading:
    """How the answers to one text are read."""

    __slots__ = ("_below", "_decode")

    def __init__(self, parts: _Parts) -> None:
        members: dict[str, Any] = {}
        below: list[tuple[str, tuple[tuple[str, _Place], ...]]] = []
        for key, text, apart in parts:
            selected = selected_keys(text)
            if key != ROOT:
                object_, inside = self._object(selected, (), apart)
                members[key] = list[object_ | None] | None  # type: ignore[valid-type]
                below.append((key, inside))
            else:
                # a root field stands there once
                members, inside = self._members(selected, (), apart.union((it,) for it in selected.below))
                below.append((ROOT, inside))
        self._decode = msgspec.json.Decoder(TypedDict("Answer", members, total=False)).decode  # type: ignore[operator]
        self._below = tuple(below)

    def read(self, text: bytes) -> tuple[dict[str, Any], int]:
        """The data, and how many bytes of it were not read because equal ones had been.

        Errors: msgspec.DecodeError for what is not as the text asks, or not to be compared as bytes.
        """
        data: dict[str, Any] = self._decode(text)
        shared_bytes = 0
        for key, inside in self._below:
            shared_bytes += _fill(_objects([data if key == ROOT else data.get(key)]), inside)
        return data, shared_bytes

    def _object(
        self, selected: SelectedKeys, keys: Keys, apart: frozenset[Keys]
    ) -> tuple[Any, tuple[tuple[str, _Place], ...]]:
        """The type of objects at one place, and the places below."""
        members, below = self._members(selected, keys, apart)
        return TypedDict("Selected", members, total=False), below  # type: ignore[operator]

    def _members(
        self, selected: SelectedKeys, keys: Keys, apart: frozenset[Keys]
    ) -> tuple[dict[str, Any], tuple[tuple[str, _Place], ...]]:
        members: dict[str, Any] = dict.fromkeys(selected.leaves, _LEAF)
        below: list[tuple[str, _Place]] = []
        for key, inside in selected.below.items():
            members[key] = msgspec.Raw
            below.append((key, self._place(inside, (*keys, key), apart)))
        return members, tuple(below)

    def _place(self, selected: SelectedKeys, keys: Keys, apart: frozenset[Keys]) -> _Place:
        object_, below = self._object(selected, keys, apart)
        decoder = msgspec.json.Decoder(object_ | list[object_ | None] | None)  # type: ignore[valid-type]
        return _Place(decoder.decode, below, shared=keys not in apart)


def _fill(objects: Sequence[dict[str, Any]], below: tuple[tuple[str, _Place], ...]) -> int:
    """Put the values below into the objects of one place, in place of the bytes that they were.

    Place by place, not object by object: all that stands at one place is read by one loop. Returns how many
    bytes were not read because equal ones had been.
    """
    shared_bytes = 0
    for key, place in below:
        decode = place.decode
        known: dict[bytes, Any] | None = {} if place.shared else None
        read: list[Any] = []
        for it in objects:
            raw = it.get(key)
            if raw is None:
                continue
            text = bytes(raw)
            if known is not None:
                value = known.get(text, _MISSING)
                if value is not _MISSING:
                    it[key] = value
                    shared_bytes += len(text)
                    continue
            value = it[key] = decode(text)
            read.append(value)
            if known is not None:
                known[text] = value
        if place.below:
            shared_bytes += _fill(_objects(read), place.below)
    return shared_bytes


def _objects(values: Sequence[Any]) -> list[dict[str, Any]]:
    """The objects among these, and in lists among these."""
    found: list[dict[str, Any]] = []
    for value in values:
        if value.__class__ is list:
            found += [it for it in value if it is not None]
        elif value is not None:
            found.append(value)
    return found
