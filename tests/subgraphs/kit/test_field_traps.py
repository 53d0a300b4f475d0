"""Ways around a protected field that open nothing: its value never reaches who may not see it, whatever way
an operation takes; each denied path has exactly one error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import pytest
import strawberry
from strawberry.types.info import Info

from authz.classes import DataClass, Role
from authz.decide import Authorizer
from authz.facts import MemoryFacts
from authz.identity.subject import ANONYMOUS, Subject
from router.config import RouterConfig
from router.execution import IncrementalFormat
from router.execution.transports.in_process import InProcessTransport
from router.operation.authorize import Rights
from router.pipeline import GraphQLRequest, Router
from router.snapshot import snapshot_of
from schema.composition import compose
from schema.sources import SubgraphSource
from subgraphs.kit import RequestContext, Subgraph, classified, resolved
from tests.kit_authz.people import NOW

SECRET, NAME = "canary in the record", "canary by name"
OWNER = Subject("anna", frozenset({Role.ATHLETE}), acr=1)
STRANGER = Subject("ben", frozenset({Role.ATHLETE}), acr=1)


@classified(DataClass.CLINICAL)
@strawberry.type
class Record:
    owner_id: strawberry.Private[str]
    text: str | None
    codes: list[list[str | None] | None] | None


@classified(DataClass.PERSONAL)
@strawberry.interface
class Named:
    name: str | None


@classified(DataClass.PUBLIC)
@strawberry.type
class Place(Named):
    name: str | None


@classified(DataClass.PERSONAL)
@strawberry.federation.type(keys=["id"])
class Person(Named):
    id: strawberry.ID
    owner_id: strawberry.Private[str]
    name: str | None
    secret: str | None = strawberry.field(directives=[classified(DataClass.CLINICAL)])

    @resolved(classified(DataClass.CLINICAL))
    def record(self) -> Record | None:
        """A record."""
        return Record(owner_id=self.owner_id, text=SECRET, codes=[[SECRET], None])

    @resolved(classified(DataClass.PUBLIC))
    def friend(self) -> Annotated[Person, strawberry.lazy("tests.subgraphs.kit.test_field_traps")] | None:
        """Somebody else's row, from this one."""
        return anna()

    @resolved(classified(DataClass.PUBLIC))
    def broken(self) -> str | None:
        """Fails with what it was about."""
        raise ValueError(f"cannot read `{SECRET}`")

    @classmethod
    def resolve_reference(cls, info: Info[RequestContext, None], id: str) -> Person:
        return anna()


def anna() -> Person:
    return Person(id=strawberry.ID("1"), owner_id="anna", name=NAME, secret=SECRET)


Found = Annotated[Person | Place, strawberry.union("Found")]


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    def person(self) -> Person | None:
        """One."""
        return anna()

    @resolved()
    def found(self) -> list[Found] | None:
        """A union."""
        return [anna(), Place(name="the track")]

    @resolved()
    def named(self) -> list[Named] | None:
        """An interface."""
        return [anna(), Place(name="the track")]

    @resolved()
    def grid(self) -> list[list[Person | None] | None] | None:
        """Lists of lists."""
        return [[anna(), None], None, [anna()]]


@classified(DataClass.PUBLIC)
@strawberry.type
class Subscription:
    @strawberry.subscription
    async def changed(self) -> AsyncIterator[Person | None]:
        yield anna()


@classified(DataClass.CLINICAL)
@strawberry.federation.type(name="Person", keys=["id"])
class Summed:
    """The same person in another subgraph, which needs a protected field to tell something of its own."""

    id: strawberry.ID
    owner_id: strawberry.Private[str]
    secret: str | None = strawberry.federation.field(external=True)

    @resolved(classified(DataClass.PUBLIC), authenticated=True, requires=["secret"])
    def length(self) -> int | None:
        """How long the secret is: as good as a part of it."""
        return None if self.secret is None else len(self.secret)

    @classmethod
    def resolve_reference(
        cls, info: Info[RequestContext, None], id: str, secret: str | None = None
    ) -> Summed:
        return cls(id=strawberry.ID(id), owner_id="anna", secret=secret)


@classified(DataClass.PUBLIC)
@strawberry.type(name="Query")
class Nothing:
    ok: bool = True


def subgraph(name: str, query: type, types: list[type], subscription: type | None = None) -> Subgraph[Any]:
    return Subgraph(
        name=name, query=query, types=types, subscription=subscription,
        authorizer=Authorizer(MemoryFacts(), clock=lambda: NOW),
        context=lambda subject, decisions: RequestContext(subject=subject, decisions=decisions),
    )  # fmt: skip


@pytest.fixture(scope="module")
def router() -> Router:
    served = {
        "people": subgraph("people", Query, [Person, Place], Subscription),
        "sums": subgraph("sums", Nothing, [Summed]),
    }
    composed = compose([SubgraphSource(each, f"http://{each}.test", it.sdl()) for each, it in served.items()])
    assert composed.supergraph_sdl is not None, composed.problems
    # What a subgraph says is what is looked at here, so the router hides nothing of it.
    config = RouterConfig(expose_subgraph_errors=True)
    authorizer = Authorizer(MemoryFacts(), clock=lambda: NOW)
    return Router(
        snapshot_of(composed.supergraph_sdl, config),
        InProcessTransport(served),
        config=config,
        rights=Rights(can_ever=authorizer.can_ever),
    )


TRAPS = {
    "an alias": ("{ person { name: secret id: secret } }", {"person.name", "person.id"}),
    "a fragment in a fragment": (
        "{ person { ...A } } fragment A on Person { ...B } fragment B on Person { x: secret }",
        {"person.x"},
    ),
    "an interface's protected implementation": (
        "{ named { name ... on Person { secret } } }",
        {"named.0.name", "named.0.secret"},
    ),
    "a union's protected member": (
        "{ found { __typename ... on Person { name secret } ... on Place { name } } }",
        {"found.0.name", "found.0.secret"},
    ),
    "the typename of what is protected": ("{ person { record { __typename } } }", {"person.record"}),
    "an object within": (
        "{ person { friend { friend { record { text } } } } }",
        {"person.friend.friend.record"},
    ),
    "lists of lists": ("{ grid { secret } }", {"grid.0.0.secret", "grid.2.0.secret"}),
    "lists of lists below": ("{ person { record { codes } } }", {"person.record"}),
    "skipped and not": ("query($y: Boolean = true) { person { a: secret @include(if: $y) } }", {"person.a"}),
}


async def asked(router: Router, text: str, subject: Subject) -> tuple[str, set[str], int]:
    """The whole answer as text, the paths of its errors and their number."""
    response = await router.handle(GraphQLRequest(text=text), subject)
    errors = [dict(error) for error in response.errors]
    whole = json.dumps([_plain(response.data), errors], default=str)
    return whole, {".".join(map(str, error["path"])) for error in errors}, len(errors)


def _plain(value: Any) -> Any:
    return json.loads(bytes(value.contents)) if hasattr(value, "contents") else value


@pytest.mark.parametrize("trap", list(TRAPS))
@pytest.mark.parametrize("subject", [STRANGER, ANONYMOUS], ids=["stranger", "anonymous"])
async def test_no_way_leads_to_the_value_and_each_denied_path_has_one_error(
    router: Router, trap: str, subject: Subject
) -> None:
    text, paths = TRAPS[trap]
    own, _, _ = await asked(router, text, OWNER)
    assert "FORBIDDEN" not in own, own
    whole, denied, count = await asked(router, text, subject)
    assert "canary" not in whole, whole
    assert count == len(denied)
    # What is cut before planning is told once for a whole list, without the places in it.
    bare = {".".join(step for step in path.split(".") if not step.isdigit()) for path in paths}
    assert {".".join(step for step in path.split(".") if not step.isdigit()) for path in denied} == bare
    if subject is STRANGER:
        assert denied == paths


@pytest.mark.parametrize(
    ("subject", "length", "paths"),
    [(OWNER, len(SECRET), set()), (STRANGER, None, {"person"}), (ANONYMOUS, None, {"person.length"})],
    ids=["owner", "stranger", "anonymous"],
)
async def test_what_requires_a_denied_field_does_not_tell_it(
    router: Router, subject: Subject, length: int | None, paths: set[str]
) -> None:
    """The other subgraph is handed null, in the caller's name; composition refuses weaker demands."""
    whole, denied, count = await asked(router, "{ person { length } }", subject)
    person = json.loads(whole)[0]["person"]
    assert (person and person["length"], denied, count) == (length, paths, len(paths))


async def test_one_document_serves_callers_of_different_rights_each_their_own(router: Router) -> None:
    """Kept documents and plans, as persisted operations are: who asked before opens nothing."""
    text = "{ person { id name secret length record { text } } }"
    for _ in range(2):
        own, denied, _ = await asked(router, text, OWNER)
        assert own.count(SECRET) == 2 and denied == set()
        for other in (STRANGER, ANONYMOUS):
            whole, denied, _ = await asked(router, text, other)
            assert "canary" not in whole
            # To the stranger the length is null because the secret, which was asked for too, was denied.
            cut = {"person.length"} if other is ANONYMOUS else set()
            assert denied == {"person.name", "person.secret", "person.record", *cut}


@pytest.mark.parametrize("format_", list(IncrementalFormat))
async def test_what_is_deferred_is_decided_too(router: Router, format_: IncrementalFormat) -> None:
    text = "{ person { id ... @defer { secret record { text } length } } }"
    request, graph = GraphQLRequest(text=text), router.snapshot
    document = await router.read(request, graph)
    told: dict[str, str] = {}
    for name, subject in (("own", OWNER), ("other", STRANGER)):
        parts: Any = await router.parts(request, document, subject, graph, format_)
        async with aclosing(parts) as stream:
            told[name] = " ".join([json.dumps(_response(each), default=str) async for each in stream])
    assert SECRET in told["own"]
    assert "canary" not in told["other"] and "FORBIDDEN" in told["other"]


async def test_an_event_is_decided_for_its_reader(router: Router) -> None:
    request, graph = GraphQLRequest(text="subscription { changed { id name a: secret } }"), router.snapshot
    document = await router.read(request, graph)
    events: Any = await router.events(request, document, STRANGER, graph)
    async with aclosing(events) as stream:
        event = await anext(stream)
    assert "canary" not in json.dumps(_response(event), default=str)
    assert sorted(".".join(map(str, each["path"])) for each in event.errors) == ["changed.a", "changed.name"]


async def test_an_error_echoes_nothing_of_what_it_was_about(router: Router) -> None:
    whole, denied, _ = await asked(router, "{ person { broken } }", STRANGER)
    assert denied == {"person.broken"} and "canary" not in whole and "internal error" in whole


def _response(response: Any) -> Any:
    return [
        _plain(getattr(response, name))
        for name in type(response).__dataclass_fields__
        if getattr(response, name) not in (None, ())
    ]
