"""Clients and authorizations as the graph shows them."""

from __future__ import annotations

import datetime as dt

import strawberry

from authz.classes import Action, DataClass
from subgraphs.accounts.oauth import meanings, model
from subgraphs.kit import classified

ADMINISTERED = classified(DataClass.SECURITY, action=Action.EVENTS)

strawberry.enum(model.ClientKind, description="Whom a program asks for.")
strawberry.enum(model.ClientState, description="Where a registration stands.")
strawberry.enum(model.ClientAuthentication, description="What a program proves itself with.")
strawberry.enum(model.ClientDocuments, description="What a program may have run.")
strawberry.enum(model.ClientRate, description="How often a program may ask.")


@ADMINISTERED
@strawberry.type(description="A registered program: a partner's app, or a service.")
class ApiClient:
    """One client. Whoever is asked by it learns its name; the rest is for administrators."""

    owner_id: strawberry.Private[str | None]
    id: strawberry.ID = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    name: str | None = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    kind: model.ClientKind | None = strawberry.field(directives=[classified(DataClass.PUBLIC)])
    state: model.ClientState | None
    organisation_id: strawberry.ID | None
    scopes: list[str] | None = strawberry.field(description="What it may ask for, at most.")
    redirect_uris: list[str] | None
    authentication: model.ClientAuthentication | None
    jwks: str | None = strawberry.field(description="Its public keys.")
    documents: model.ClientDocuments | None
    rate: model.ClientRate | None
    proof_required: bool | None = strawberry.field(
        description="Whether its tokens are bound to a key (DPoP)."
    )
    registered_by: strawberry.ID | None
    approved_by: strawberry.ID | None
    created_at: dt.datetime | None
    expires_at: dt.datetime | None

    @classmethod
    def of(cls, row: model.ApiClient) -> ApiClient:
        """The GraphQL object of a row."""
        organisation, approver = row.organisation_id, row.approved_by
        return cls(
            owner_id=None,
            id=strawberry.ID(row.id),
            name=row.name,
            kind=row.kind,
            state=row.state,
            organisation_id=None if organisation is None else strawberry.ID(organisation),
            scopes=sorted(row.scopes),
            redirect_uris=list(row.redirect_uris),
            authentication=row.authentication,
            jwks=row.jwks,
            documents=row.documents,
            rate=row.rate,
            proof_required=row.proof_required,
            registered_by=strawberry.ID(row.registered_by),
            approved_by=None if approver is None else strawberry.ID(approver),
            created_at=row.created_at_utc,
            expires_at=row.expires_at_utc,
        )


@classified(DataClass.PUBLIC)
@strawberry.type(description="What a scope lets a program do.")
class ScopeMeaning:
    """One scope, as a person reads it."""

    scope: str
    words: str = strawberry.field(description="For the person who is asked, in English.")
    data_classes: list[DataClass] = strawberry.field(
        description="Of what it opens; none for a word of another service."
    )

    @classmethod
    def of(cls, scope: str) -> ScopeMeaning:
        """The GraphQL object of a scope."""
        told = meanings.meaning(scope)
        return cls(scope=told.scope, words=told.words, data_classes=list(told.data_classes))
