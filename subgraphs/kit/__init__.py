"""Turns a domain package into a subgraph: schema, request context, entity edge, fields behind decisions.

    @classified(DataClass.TRAINING)                        # every field of the type, unless it says otherwise
    @strawberry.federation.type(keys=["id"])
    class Activity:
        id: strawberry.ID                                  # key fields are PUBLIC
        name: str | None                                   # protected fields are nullable
        start: Track | None = strawberry.field(directives=[classified(DataClass.LOCATION)])
        owner_id: strawberry.Private[str]                  # whose it is; the guard decides by it

        @classmethod
        async def resolve_reference(cls, info: Info[TrainingContext], id: str) -> "Activity | None":
            row = await info.context.activities.load(id)   # one query for all representations of a call
            return None if row is None else cls.of(row)

    @classified(DataClass.TRAINING)
    @strawberry.federation.type(keys=["id"])               # a foreign entity that this domain extends
    class User:
        id: strawberry.ID
        owner_id: strawberry.Private[str]
        @resolved()                                        # or @resolved(classified(DataClass.LOCATION))
        async def activities(self, info: Info[TrainingContext], first: int | None = None,
                             after: str | None = None) -> Connection[Activity] | None: ...
        @classmethod
        def resolve_reference(cls, info: Info[TrainingContext], id: str) -> "User":
            return cls(id=id, owner_id=id)

    @classified(DataClass.PUBLIC)                          # roots, payloads: nodes guard themselves
    @strawberry.type
    class Mutation:
        @resolved(authenticated=True)                      # callers without a token get UNAUTHENTICATED
        async def rename(self, info: Info[TrainingContext], id: strawberry.ID) -> RenamePayload | None: ...

    @dataclass(kw_only=True)
    class TrainingContext(RequestContext):                 # one a request
        relational: Relational
        activities: DataLoader[str, ActivityRow | None]    # batch_loader(load_many)

    def build(*, relational: Relational, authorizer: Authorizer) -> Subgraph[TrainingContext]:
        return Subgraph(name="training", query=Query, mutation=Mutation, types=[User, Activity],
                        authorizer=authorizer,
                        context=lambda subject, decisions: TrainingContext(
                            subject=subject, decisions=decisions, …))

A type whose row needs more than its owner for a decision (purpose, labels, visibility) gives `row_access`: a
`strawberry.Private[RowAccess]`, or a method of class and action where parts of a row have different circles.
Where the policy shows a shortened view (`summary`, `trimmed`, …), the field says how: `classified(…,
masks={"trimmed": without_its_ends})`; a view it has no mask for is a refusal. A value type without an owner
is guarded by the fields that lead to it, which must then have its class. `PurposeOfUse` is the enum of
purposes. An argument that chooses by a field's content says which (`reads("Activity.sport")`), one that
chooses nothing says `shapes()`, and a mutation's argument what it `sets(…)`: checked before a resolver runs.
Where the domain's own rule about the loaded row decides it is `ruled(by="…")`, and what a caller proves
themselves with `proves()`: a subgraph with an argument of a root that says nothing does not start.
What the answer's head says is set by `info.context.answer_headers` (`retry_after`, `cookie`, `deprecated`,
`keep`); the router's `response_headers` say what of it clients get.
In tests: `await subgraph.execute(query, variables, None, Subject(...))`.
"""

from subgraphs.kit.answer_headers import AnswerHeaders, HeaderRefused, SameSite
from subgraphs.kit.classification import NotClassified, classified, resolved, shown_whole
from subgraphs.kit.errors import PublicError, Unauthenticated, UserError, not_found
from subgraphs.kit.inputs import proves, reads, ruled, sets, shapes
from subgraphs.kit.loaders import batch_loader, row_loader
from subgraphs.kit.owners import RowAccess
from subgraphs.kit.pages import (
    Connection,
    CursorSigner,
    Edge,
    PageInfo,
    PageRequest,
    binding,
    connection,
    page_request,
    wants_total,
)
from subgraphs.kit.scalars import JSON, PurposeOfUse, Upload, UploadedFile, clean_text, moment_ahead
from subgraphs.kit.subgraph import RequestContext, Subgraph

__all__ = [
    "JSON",
    "AnswerHeaders",
    "Connection",
    "CursorSigner",
    "Edge",
    "HeaderRefused",
    "NotClassified",
    "PageInfo",
    "PageRequest",
    "PublicError",
    "PurposeOfUse",
    "RequestContext",
    "RowAccess",
    "SameSite",
    "Subgraph",
    "Unauthenticated",
    "Upload",
    "UploadedFile",
    "UserError",
    "batch_loader",
    "binding",
    "classified",
    "clean_text",
    "connection",
    "moment_ahead",
    "not_found",
    "page_request",
    "proves",
    "reads",
    "resolved",
    "row_loader",
    "ruled",
    "sets",
    "shapes",
    "shown_whole",
    "wants_total",
]
