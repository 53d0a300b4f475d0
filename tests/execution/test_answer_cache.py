"""Kept answers: whose they are, how long they are good, by what they are forgotten; two viewers never mix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest

from authz.classes import Role
from authz.identity.subject import ANONYMOUS, Subject
from datastores.cache.opening import open_cache
from router.execution.answer_cache.cached import AnswerCache, CachedTransport
from router.execution.answer_cache.freshness import STALE, Freshness, collecting, freshness_of
from router.execution.answer_cache.tags import named_tag, subgraph_tag, type_tag
from router.execution.transport import SubgraphRequest, SubgraphResponse
from router.operation.model import OperationKind
from router.operation.upload import Upload
from router.traffic import CachedAnswers, SubgraphTraffic, Traffic
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import Supergraph, read_supergraph

LINK = """extend schema
  @link(url: "https://specs.apollo.dev/federation/v2.12", import: ["@key", "@cacheTag", "@composeDirective"])
  @link(url: "https://example.org/cacheControl/v0.1", import: ["@cacheControl"])
  @composeDirective(name: "@cacheControl")
directive @cacheControl(maxAge: Int, scope: CacheControlScope, inheritMaxAge: Boolean)
  on FIELD_DEFINITION | OBJECT | INTERFACE | UNION
enum CacheControlScope { PUBLIC PRIVATE }
"""
SDL = (
    LINK
    + """
type Query {
  book(id: ID!): Book @cacheTag(format: "book-{$args.id}")
  news: [Book] @cacheControl(maxAge: 60)
  mine: [Book] @cacheControl(maxAge: 60, scope: PRIVATE)
  plain: String
  told: String @cacheControl(maxAge: 30)
}
type Book @key(fields: "id") @cacheTag(format: "book-{$key.id}") @cacheControl(maxAge: 90) {
  id: ID! title: String price: Int @cacheControl(maxAge: 20) owner: Person
}
type Person @key(fields: "id") { id: ID! name: String }
"""
)
MIRA, TOMAS = (Subject(one, roles=frozenset({Role.ATHLETE})) for one in ("mira", "tomas"))
ENTITIES = "query($r:[_Any!]!){_entities(representations:$r){...on Book{title}}}"


@pytest.fixture(scope="module")
def supergraph() -> Supergraph:
    composed = compose([SubgraphSource(name="books", url="http://books.invalid", sdl=SDL)])
    assert composed.supergraph_sdl is not None, composed.problems
    return read_supergraph(composed.supergraph_sdl)


class Books:
    """A subgraph that says whom it answers, with one `Cache-Control` for all."""

    def __init__(self, cache_control: str = "public, max-age=60") -> None:
        self.cache_control = cache_control
        self.asked: list[SubgraphRequest] = []
        self.errors: tuple[dict[str, Any], ...] = ()
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, request: SubgraphRequest) -> SubgraphResponse:
        self.asked.append(request)
        await self.gate.wait()
        who = f"for {request.subject.id}, answer {len(self.asked)}"
        representations = [value for value in request.variables.values() if isinstance(value, list)]
        data: dict[str, Any] = {"plain": who}
        if "_entities" in request.query:
            names = [
                part.split(":")[0].strip() for part in request.query.split("{")[1].split("}") if "_e" in part
            ]
            names = names or ["_entities"]
            data = {
                name if "_entities(" not in name else "_entities": [
                    None if one["id"] == "gone" else {"title": f"{one['id']} {who}"} for one in every
                ]
                for name, every in zip(names, representations, strict=False)
            }
        return SubgraphResponse(data=data, errors=self.errors, cache_control=self.cache_control)

    def subscribe(self, request: SubgraphRequest) -> AsyncIterator[SubgraphResponse]:
        raise NotImplementedError

    async def close(self) -> None: ...

    def ids(self) -> list[list[str]]:
        return [[it["id"] for it in one.variables["r"]] for one in self.asked]


@asynccontextmanager
async def cached(books: Books, supergraph: Supergraph, **policy: Any) -> AsyncIterator[CachedTransport]:
    store = open_cache("memory://")
    await store.open()
    traffic = Traffic(all=SubgraphTraffic(cache=CachedAnswers(enabled=True, **policy)))
    yield CachedTransport(books, AnswerCache(store), supergraph, traffic)
    await store.close()


def ask(query: str = "{plain}", subject: Subject = ANONYMOUS, **more: Any) -> SubgraphRequest:
    arguments: dict[str, Any] = {"service": "books", "kind": OperationKind.QUERY, "variables": {}}
    return SubgraphRequest(query=query, subject=subject, **{**arguments, **more})


def entities(*ids: str, subject: Subject = ANONYMOUS, **more: Any) -> SubgraphRequest:
    return ask(ENTITIES, subject, variables={"r": [{"__typename": "Book", "id": one} for one in ids]}, **more)


@pytest.mark.parametrize(
    ("header", "freshness"),
    [
        ("public, max-age=60", Freshness(60, False)),
        ("max-age=60", Freshness(60, True)),
        ("private, max-age=60, public", Freshness(60, True)),
        ("s-maxage=5, max-age=60", Freshness(5, False)),
        ("private, max-age=5, s-maxage=60", Freshness(5, True)),
        ("private, s-maxage=60", None),
        ('Public , MAX-AGE="7"', Freshness(7, False)),
        ("public, max-age=60, no-store", STALE),
        ("no-cache", STALE),
        ("public", None),
        ("max-age=-1", None),
        ("max-age=99999999999999999999", None),
        ("", None),
    ],
)
def test_a_header_says_how_long_and_for_whom(header: str, freshness: Freshness | None) -> None:
    assert freshness_of(header) == freshness


async def test_what_is_public_is_asked_for_once(supergraph: Supergraph) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        answers = [await transport.fetch(ask(subject=one)) for one in (MIRA, TOMAS, ANONYMOUS)]
    assert [one.data for one in answers] == [{"plain": "for mira, answer 1"}] * 3
    assert answers[0].data is not answers[1].data


@pytest.mark.parametrize("header", ["private, max-age=60", "max-age=60"])
async def test_nobody_is_given_what_was_kept_for_another(supergraph: Supergraph, header: str) -> None:
    books = Books(header)
    more = [
        Subject("mira", roles=frozenset({Role.TRAINER})),
        Subject("mira", roles=MIRA.roles, acr=2),
        Subject("mira", roles=MIRA.roles, scopes=frozenset({"read"})),
        Subject("mira", roles=MIRA.roles, client_id="partner"),
        Subject("mira", roles=MIRA.roles, region="eu"),
        ANONYMOUS,
    ]
    async with cached(books, supergraph) as transport:
        for viewer in (MIRA, TOMAS, *more):
            for _ in range(2):
                answer = await transport.fetch(ask(subject=viewer))
                assert answer.data["plain"].startswith(f"for {viewer.id},")
                answer = await transport.fetch(entities("1", subject=viewer))
                assert answer.data["_entities"][0]["title"].startswith(f"1 for {viewer.id},")
        again = Subject("mira", roles=MIRA.roles, session_id="another session")
        await transport.fetch(ask(subject=again))
    assert len(books.asked) == 2 * (2 + len(more))


@pytest.mark.parametrize(("header", "times"), [("x-tenant", 2), ("authorization", 1), ("traceparent", 1)])
async def test_headers_that_may_change_an_answer_are_part_of_its_key(
    supergraph: Supergraph, header: str, times: int
) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        for value in ("a", "b"):
            await transport.fetch(ask(headers={header: value}))
        assert len(books.asked) == times
        books.cache_control = "private, max-age=60"
        for value in ("a", "b"):
            await transport.fetch(ask("{plain p: plain}", headers={header: value}))
    assert len(books.asked) == times + (1 if header == "traceparent" else 2)


@pytest.mark.parametrize("header", ["", "no-store", "public, max-age=0"])
async def test_what_may_not_be_kept_is_not(supergraph: Supergraph, header: str) -> None:
    books = Books(header)
    async with cached(books, supergraph) as transport:
        for _ in range(2):
            await transport.fetch(ask())
            await transport.fetch(entities("1"))
    # of books the schema itself says how long they are good
    assert len(books.asked) == (3 if header == "" else 4)


async def test_mutations_and_failed_answers_are_not_kept(supergraph: Supergraph) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        for _ in range(2):
            await transport.fetch(ask("mutation{plain}", kind=OperationKind.MUTATION))
        books.errors = ({"message": "no", "path": ["plain"]},)
        for _ in range(2):
            assert (await transport.fetch(ask())).errors
    assert len(books.asked) == 4


async def test_what_brings_files_is_asked_each_time(supergraph: Supergraph) -> None:
    """Nobody looks into two files to see whether they are equal."""
    books = Books("public, max-age=60")
    async with cached(books, supergraph) as transport:
        for _ in range(2):
            file = Upload(BytesIO(b"x"), filename="a", content_type="text/plain", size=1)
            answer = await transport.fetch(ask("query($f:Upload){plain(f:$f)}", variables={"f": [file]}))
            assert answer.data is not None
    assert len(books.asked) == 2


async def test_entities_are_kept_one_by_one(supergraph: Supergraph) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        await transport.fetch(entities("1", "2"))
        mixed = await transport.fetch(entities("3", "2", "4", "1"))
        again = await transport.fetch(entities("1", "4"))
    assert books.ids() == [["1", "2"], ["3", "4"]]
    said = [one["title"].split()[0] for one in mixed.data["_entities"]]
    assert said == ["3", "2", "4", "1"]
    assert again.data["_entities"] == [mixed.data["_entities"][3], mixed.data["_entities"][2]]


async def test_another_selection_or_argument_is_another_entity(supergraph: Supergraph) -> None:
    books = Books()
    by = "query($r:[_Any!]!,$n:Int){_entities(representations:$r){...on Book{title(n:$n)}}}"
    async with cached(books, supergraph) as transport:
        await transport.fetch(entities("1"))
        for number in (1, 2, 1):
            await transport.fetch(ask(by, variables={"r": [{"__typename": "Book", "id": "1"}], "n": number}))
        spread = "query($x:[_Any!]!){_entities(representations:$x){...F}} fragment F on Book{title}"
        await transport.fetch(ask(spread, variables={"x": [{"__typename": "Book", "id": "1"}]}))
    assert len(books.asked) == 4


async def test_a_missing_or_failed_entity_is_asked_for_again(supergraph: Supergraph) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        await transport.fetch(entities("1", "gone"))
        books.errors = ({"message": "no", "path": ["_entities", 1, "title"]},)
        answer = await transport.fetch(entities("1", "gone", "2"))
        assert [one["path"] for one in answer.errors] == [["_entities", 2, "title"]]
        books.errors = ({"message": "no"},)
        await transport.fetch(entities("3"))
        books.errors = ()
        await transport.fetch(entities("1", "gone", "2", "3"))
    assert books.ids() == [["1", "gone"], ["gone", "2"], ["3"], ["gone", "2", "3"]]


async def test_entities_of_a_joined_request_are_the_same_entities(supergraph: Supergraph) -> None:
    books = Books()
    joined = (
        "query($r0:[_Any!]!,$r1:[_Any!]!){_e0:_entities(representations:$r0){...on Book{title}} "
        "_e1:_entities(representations:$r1){...on Book{price}}}"
    )
    one = [{"__typename": "Book", "id": "1"}]
    async with cached(books, supergraph) as transport:
        await transport.fetch(entities("1"))
        # of the joined request only the second part is left to ask for
        await transport.fetch(ask(joined, variables={"r0": list(one), "r1": list(one)}))
    assert books.asked[1].variables == {"r0": [], "r1": one}


@pytest.mark.parametrize(
    "tag",
    [subgraph_tag("books"), type_tag("books", "Book"), named_tag("books", "book-1")],
    ids=["subgraph", "type", "cache tag"],
)
async def test_what_is_forgotten_by_its_tag_is_asked_for_again(supergraph: Supergraph, tag: str) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        await transport.fetch(entities("1"))
        await transport.cache.forget([named_tag("books", "book-2"), type_tag("books", "Person")])
        await transport.fetch(entities("1"))
        assert len(books.asked) == 1
        await transport.cache.forget([tag])
        await transport.fetch(entities("1"))
    assert len(books.asked) == 2


async def test_root_fields_have_the_tags_of_their_arguments(supergraph: Supergraph) -> None:
    books = Books()
    query = 'query($id:ID!){a:book(id:$id){title} b:book(id:"7"){title}}'
    for tag, times in (("book-5", 2), ("book-7", 2), ("book-6", 1)):
        books.asked.clear()
        async with cached(books, supergraph) as transport:
            await transport.fetch(ask(query, variables={"id": "5"}))
            await transport.cache.forget([named_tag("books", tag)])
            await transport.fetch(ask(query, variables={"id": "5"}))
        assert len(books.asked) == times


async def test_what_was_being_fetched_when_it_was_forgotten_is_not_given_later(
    supergraph: Supergraph,
) -> None:
    books = Books()
    async with cached(books, supergraph) as transport:
        books.gate.clear()
        under_way = asyncio.create_task(transport.fetch(entities("1")))
        while not books.asked:
            await asyncio.sleep(0)
        await transport.cache.forget([named_tag("books", "book-1")])
        books.gate.set()
        await under_way
        await transport.fetch(entities("1"))
    assert len(books.asked) == 2


class Lossy:
    """A store that fails."""

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        raise OSError("away")

    async def set_many(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        raise OSError("away")


async def test_without_its_store_everything_is_asked_for_and_answered(supergraph: Supergraph) -> None:
    books = Books()
    traffic = Traffic(all=SubgraphTraffic(cache=CachedAnswers(enabled=True)))
    transport = CachedTransport(books, AnswerCache(Lossy()), supergraph, traffic)
    for _ in range(2):
        assert (await transport.fetch(ask())).data
        assert (await transport.fetch(entities("1"))).data
    assert len(books.asked) == 4


@pytest.mark.parametrize(
    ("query", "header"),
    [
        ("{told}", "max-age=30, public"),
        ("{news{title}}", "max-age=60, public"),
        ("{news{title price}}", "max-age=20, public"),
        ("{mine{title}}", "max-age=60, private"),
        ("{plain}", None),
        ("{told plain}", None),
        ("{news{owner{name}}}", None),
        ("{n:news{...on Book{title}} told}", "max-age=30, public"),
    ],
)
async def test_directives_speak_where_the_subgraph_sends_no_header(
    supergraph: Supergraph, query: str, header: str | None
) -> None:
    books = Books("")
    async with cached(books, supergraph) as transport:
        for times in (1, 1) if header else (1, 2):
            with collecting() as collected:
                await transport.fetch(ask(query))
            said = collected.header(shared=True)
            # a second later it is a second less
            assert said == header or (
                header and said == header.replace("30", "29").replace("60", "59").replace("20", "19")
            )
            assert len(books.asked) == times


async def test_the_clients_header_is_the_least_of_all(supergraph: Supergraph) -> None:
    books = Books("public, max-age=50")
    async with cached(books, supergraph, ttl_s_max=40) as transport:
        with collecting() as collected:
            await transport.fetch(ask())
        assert collected.header(shared=True) == "max-age=40, public"
        assert collected.header(shared=False) == "max-age=40, private"
        with collecting() as collected:
            await transport.fetch(entities("1"))
            books.cache_control = "private, max-age=9"
            await transport.fetch(entities("2"))
        assert collected.header(shared=True) == "max-age=9, private"
        with collecting() as collected:
            await transport.fetch(entities("1"))
            await transport.fetch(ask("mutation{plain}", kind=OperationKind.MUTATION))
        assert collected.header(shared=True) is None
    with collecting() as collected:
        pass
    assert collected.header(shared=True) is None


async def test_a_default_lifetime_is_private(supergraph: Supergraph) -> None:
    books = Books("")
    async with cached(books, supergraph, ttl_s_default=10) as transport:
        for viewer in (MIRA, TOMAS, MIRA):
            await transport.fetch(ask(subject=viewer))
    assert [one.subject.id for one in books.asked] == ["mira", "tomas"]


async def test_a_subgraph_whose_cache_is_off_is_always_asked(supergraph: Supergraph) -> None:
    books, store = Books(), open_cache("memory://")
    await store.open()
    traffic = Traffic(by_name={"others": SubgraphTraffic(cache=CachedAnswers(enabled=True))})
    transport = CachedTransport(books, AnswerCache(store), supergraph, traffic)
    for _ in range(2):
        await transport.fetch(ask())
    await store.close()
    assert len(books.asked) == 2
