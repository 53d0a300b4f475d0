"""Operations that come again are answered as graphql-core answers them the first time, whatever is given."""

from __future__ import annotations

import asyncio
import gc
from typing import Annotated, Any

import pytest
import strawberry

from authz.classes import DataClass
from authz.identity.subject import Subject
from subgraphs.kit import RequestContext, Subgraph, classified, resolved, ruled
from subgraphs.kit.operations import SHAPES_MAX

CALLER = Subject(id="caller")
ANY = strawberry.argument(metadata=ruled(by="anybody"))
Id = Annotated[strawberry.ID, ANY]
Text = Annotated[str, ANY]


@strawberry.input
class Span:
    start: int = 1
    words: list[str] = strawberry.field(default_factory=list)


@classified(DataClass.PUBLIC)
@strawberry.type
class Part:
    name: str

    @resolved()
    async def later(self, times: int = 2) -> str:
        await asyncio.sleep(0)
        return self.name * times

    @resolved()
    def now(self, times: int = 2, fails: bool = False) -> str:
        if fails:
            raise RuntimeError("asked to")
        return self.name * times

    @resolved()
    async def nothing(self) -> str:
        await asyncio.sleep(0)
        return None  # type: ignore[return-value]


@classified(DataClass.PUBLIC)
@strawberry.type
class Query:
    @resolved()
    async def part(
        self, id: Id, word: Annotated[str | None, ANY] = "given", flag: Annotated[bool, ANY] = True
    ) -> Part | None:
        return None if id == "none" else Part(name=f"{id}/{word}/{flag}")

    @resolved()
    def parts(
        self, ids: Annotated[list[strawberry.ID], ANY], span: Annotated[Span | None, ANY] = None
    ) -> list[Part]:
        shown = "" if span is None else f"{span.start}{span.words}"
        return [Part(name=each + shown) for each in ids]


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation:
    @resolved()
    async def name(self, word: Text) -> Part | None:
        return Part(name=word)


class Answers:
    async def decide(self, questions: Any) -> list[Any]:
        raise AssertionError("nothing here is protected")


class Authorizer:
    def for_request(self, subject: Subject) -> Any:
        return Answers()


def made() -> Subgraph[RequestContext]:
    arguments: dict[str, Any] = {"authorizer": Authorizer(), "context": _context}
    return Subgraph(name="parts", query=Query, mutation=Mutation, **arguments)


def _context(subject: Subject, decisions: Any) -> RequestContext:
    return RequestContext(subject=subject, decisions=decisions)


def told(answer: dict[str, Any]) -> dict[str, Any]:
    for error in answer.get("errors", ()):
        error["extensions"].pop("traceId", None)
    return answer


CASES: list[tuple[str, list[dict[str, Any]]]] = [
    ('{ part(id: "a") { name later now } }', [{}]),
    ('{ part(id: "a", word: null, flag: false) { later(times: 3) } other: part(id: 7) { name } }', [{}]),
    ("query ($id: ID!) { part(id: $id) { name } }",
     [{"id": "a"}, {"id": 7}, {"id": None}, {}, {"id": 1.5}, {"id": "none"}, {"id": ["a"]}, {"id": "b"}]),
    ("query ($id: ID!, $word: String) { part(id: $id, word: $word) { name } }",
     [{"id": "a"}, {"id": "a", "word": None}, {"id": "a", "word": "w"}, {"id": "a", "word": 3}]),
    ('query ($f: Boolean = false, $word: String = "w") { part(id: "a", word: $word, flag: $f) { name } }',
     [{}, {"f": True}, {"f": None}, {"word": None}, {"f": True, "word": "x", "more": 1}]),
    ("query ($ids: [ID!]!) { parts(ids: $ids) { name now } }",
     [{"ids": given} for given in (["a", "b"], "a", [], ["a", None], [1, "b"], None)]),
    ('query ($n: Int) { parts(ids: ["a"], span: { start: $n, words: ["x"] }) { name } }',
     [{"n": 4}, {}, {"n": None}, {"n": "4"}]),
    ('query ($span: Span) { parts(ids: ["a"], span: $span) { name } }',
     [{"span": {"start": 2}}, {"span": None}, {"span": {"words": "one"}}, {"span": {"odd": 1}}]),
    ('query ($a: Boolean!, $n: Int!) { part(id: 1) { name @skip(if: $a) now(times: $n) @include(if: $a) } }',
     [{"a": True, "n": 1}, {"a": False, "n": 2}, {"a": None, "n": 1}, {"a": True, "n": 2**40}, {"a": "x"}]),
    ('query ($fails: Boolean!) { parts(ids: ["a", "b"]) { name now(fails: $fails) } }',
     [{"fails": False}, {"fails": True}]),
    ('{ part(id: "a") { nothing } parts(ids: "b") { ...all } } fragment all on Part { name later }', [{}]),
    ("mutation ($w: String!) { one: name(word: $w) { name } two: name(word: $w) { later } }",
     [{"w": "x"}, {"w": None}, {"w": "y"}]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "given"), CASES, ids=[str(number) for number in range(len(CASES))])
async def test_a_repeated_operation_answers_as_its_first_execution(
    document: str, given: list[dict[str, Any]]
) -> None:
    repeating = made()
    for variables in [*given, *reversed(given)]:
        first = told(await made().execute(document, variables, None, CALLER))
        assert told(await repeating.execute(document, variables, None, CALLER)) == first
        assert told(await repeating.execute(document, variables, None, CALLER)) == first


async def test_each_operation_of_a_document_is_its_own() -> None:
    subgraph, document = made(), 'query A { part(id: "a") { name } } query B { part(id: "b") { now } }'
    for name in ("A", "B", "A", "C", "B", None):
        first = told(await made().execute(document, {}, name, CALLER))
        assert told(await subgraph.execute(document, {}, name, CALLER)) == first


async def test_nothing_of_a_request_stays_with_its_operation() -> None:
    subgraph = made()
    document = "query ($id: ID!, $w: String) { part(id: $id, word: $w) { name } }"
    for number in range(3):
        await subgraph.execute(document, {"id": f"secret{number}", "w": "hidden word"}, None, CALLER)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, RequestContext)]
    (operation,) = subgraph._documents[document].selections.operations.values()  # type: ignore[union-attr]
    assert operation.prototype.variable_values.coerced == {}
    assert operation.prototype.context_value is None


async def test_requests_of_one_operation_at_once_keep_their_own_values_and_errors() -> None:
    subgraph = made()
    document = (
        'query ($n: Int!, $fails: Boolean!) { parts(ids: ["a"]) { later(times: $n) now(fails: $fails) } }'
    )
    answers = await asyncio.gather(
        *(subgraph.execute(document, {"n": n, "fails": n % 2 == 1}, None, CALLER) for n in range(6))
    )
    for n, answer in enumerate(answers):
        assert told(answer) == told(
            await made().execute(document, {"n": n, "fails": n % 2 == 1}, None, CALLER)
        )


async def test_the_shapes_that_an_operation_remembers_are_bounded() -> None:
    subgraph = made()
    names = [f"v{number}" for number in range(7)]
    told_of = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: name @include(if: ${name})" for name in names)
    document = f'query ({told_of}) {{ part(id: "a") {{ now {fields} }} }}'
    for bits in range(2**7):
        given = {name: bool(bits >> place & 1) for place, name in enumerate(names)}
        answer = await subgraph.execute(document, given, None, CALLER)
        assert set(answer["data"]["part"]) == {"now", *(name for name in names if given[name])}
    (operation,) = subgraph._documents[document].selections.operations.values()  # type: ignore[union-attr]
    assert 0 < len(operation._shapes) <= SHAPES_MAX
