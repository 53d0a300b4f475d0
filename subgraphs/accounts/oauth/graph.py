"""Accounts' part of the graph for programs: clients, for administrators; consent, for people."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated

import strawberry

from authz.classes import DataClass
from subgraphs.accounts import role_graph
from subgraphs.accounts.access import require_administrator
from subgraphs.accounts.entities import AccountsInfo
from subgraphs.accounts.graph import ADMINISTERING, administers_all, told
from subgraphs.accounts.model import RuleBroken
from subgraphs.accounts.oauth import administration, client_store, consent, model
from subgraphs.accounts.oauth.calls import OAuthCall
from subgraphs.accounts.oauth.entities import ApiClient
from subgraphs.accounts.oauth.payloads import (
    ApiClientPayload,
    AuthorizationPayload,
    AuthorizationRequest,
    AuthorizationRequestInput,
    ChangeApiClientInput,
    RegisterApiClientInput,
    WithdrawalPayload,
)
from subgraphs.kit import (
    Connection,
    binding,
    classified,
    connection,
    not_found,
    page_request,
    resolved,
    ruled,
)

AGREEING = strawberry.argument(metadata=ruled(by="the person who agrees, and the client's registration"))
OWN_AUTHORIZATION = strawberry.argument(metadata=ruled(by="whose authorization it is"))


@classified(DataClass.PUBLIC)
@strawberry.type
class Query(role_graph.Query):
    """Questions that accounts answers, with those about programs."""

    @resolved(authenticated=True)
    async def api_clients(
        self, info: AccountsInfo, first: int | None = None, after: str | None = None
    ) -> Connection[ApiClient] | None:
        """All registered programs, newest first, for administrators with a second factor."""
        context, caller_id = info.context, require_administrator(info.context.subject)
        bound_to = binding(caller_id, "Query.apiClients", {})
        asked = page_request(context.cursors, bound_to=bound_to, first=first, after=after)
        after_id = None if asked.after is None else str(asked.after[0])
        found, total = await context.accounts.relational.read(
            lambda c: client_store.page(c, after_id=after_id, limit=asked.limit)
        )
        return connection(
            found,
            asked,
            context.cursors,
            bound_to=bound_to,
            sort_key=lambda row: (row.id,),
            node=ApiClient.of,
            total_count=total,
        )

    @resolved(authenticated=True)
    async def api_client(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> ApiClient | None:
        """One program, for administrators with a second factor."""
        require_administrator(info.context.subject)
        found = await info.context.accounts.relational.read(lambda c: client_store.by_id(c, str(id)))
        if found is None:
            raise not_found()
        return ApiClient.of(found)

    @resolved(authenticated=True)
    async def authorization_request(
        self, info: AccountsInfo, input: Annotated[AuthorizationRequestInput, AGREEING]
    ) -> AuthorizationRequest | None:
        """What a client wants to do for the caller: to be shown before they agree."""
        context = info.context
        try:
            asked = await consent.asked(context.accounts, context.subject, _call(info, input))
        except RuleBroken as broken:
            return AuthorizationRequest(user_errors=told(broken))
        return AuthorizationRequest.of(asked)


@classified(DataClass.PUBLIC)
@strawberry.type
class Mutation(role_graph.Mutation):
    """What can be done to accounts, with programs."""

    @resolved(authenticated=True)
    async def register_api_client(
        self, info: AccountsInfo, input: Annotated[RegisterApiClientInput, ADMINISTERING]
    ) -> ApiClientPayload | None:
        """A new program, with its secret. A service, and whatever may read clinical records, waits for a
        second administrator."""
        actor_id = administers_all(info, None)
        wanted = input.registration()
        return await _kept(administration.register(info.context.accounts, actor_id=actor_id, wanted=wanted))

    @resolved(authenticated=True)
    async def approve_api_client(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> ApiClientPayload | None:
        """Put a pending program in force."""
        actor_id = administers_all(info, None)
        accounts = info.context.accounts
        return await _kept(administration.approve(accounts, actor_id=actor_id, client_id=str(id)))

    @resolved(authenticated=True)
    async def change_api_client(
        self, info: AccountsInfo, input: Annotated[ChangeApiClientInput, ADMINISTERING]
    ) -> ApiClientPayload | None:
        """Let a program be another way from now on; the tokens that it has are refused."""
        actor_id = administers_all(info, None)
        return await _kept(
            administration.change(
                info.context.accounts,
                actor_id=actor_id,
                client_id=str(input.id),
                changed=lambda before: _changed(before, input),
            )
        )

    @resolved(authenticated=True)
    async def rotate_client_secret(
        self,
        info: AccountsInfo,
        id: Annotated[strawberry.ID, ADMINISTERING],
        overlap_hours: Annotated[int, ADMINISTERING] = 24,
    ) -> ApiClientPayload | None:
        """A new secret; the one before holds for some hours more, 0 for not at all."""
        administers_all(info, None)
        accounts = info.context.accounts
        return await _kept(
            administration.rotate_secret(accounts, client_id=str(id), overlap_hours=overlap_hours)
        )

    @resolved(authenticated=True)
    async def set_client_keys(
        self,
        info: AccountsInfo,
        id: Annotated[strawberry.ID, ADMINISTERING],
        jwks: Annotated[str, ADMINISTERING],
    ) -> ApiClientPayload | None:
        """Other public keys (JWKS); name the former ones too for as long as they are to hold."""
        administers_all(info, None)
        accounts = info.context.accounts
        return await _kept(administration.set_keys(accounts, client_id=str(id), jwks=jwks))

    @resolved(authenticated=True)
    async def revoke_api_client(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, ADMINISTERING]
    ) -> ApiClientPayload | None:
        """End a program for good, with every token that it has."""
        administers_all(info, None)
        return await _kept(administration.revoke(info.context.accounts, client_id=str(id)))

    @resolved(authenticated=True)
    async def authorize_client(
        self,
        info: AccountsInfo,
        input: Annotated[AuthorizationRequestInput, AGREEING],
        approved_scopes: Annotated[list[str] | None, AGREEING] = None,
        ticket: Annotated[str | None, AGREEING] = None,
    ) -> AuthorizationPayload | None:
        """Let a client act for the caller within `approvedScopes`, or, without them, refuse it. Send the
        browser to `redirectTo` either way. With the `ticket` of what was shown, nothing else is agreed to."""
        context, approved = info.context, approved_scopes
        try:
            target = await consent.answered(
                context.accounts, context.subject, _call(info, input), approved=approved, ticket=ticket
            )
        except RuleBroken as broken:
            return AuthorizationPayload(user_errors=told(broken))
        return AuthorizationPayload(redirect_to=target)

    @resolved(authenticated=True)
    async def withdraw_authorization(
        self, info: AccountsInfo, id: Annotated[strawberry.ID, OWN_AUTHORIZATION]
    ) -> WithdrawalPayload | None:
        """Take back what the caller let a client do; its tokens end."""
        context = info.context
        try:
            await consent.withdrawn(context.accounts, context.caller_id, str(id))
        except RuleBroken as broken:
            return WithdrawalPayload(user_errors=told(broken))
        return WithdrawalPayload(withdrawn=True)


def _call(info: AccountsInfo, asked: AuthorizationRequestInput) -> OAuthCall:
    url = f"{info.context.accounts.tokens.issuer}/oauth/authorize"
    return OAuthCall("GET", url, asked.parameters())


def _changed(before: model.ApiClient, wanted: ChangeApiClientInput) -> model.ApiClient:
    scopes, uris, proof = wanted.scopes, wanted.redirect_uris, wanted.proof_required
    return replace(
        before,
        scopes=before.scopes if scopes is None else frozenset(scopes),
        redirect_uris=before.redirect_uris if uris is None else tuple(uris),
        documents=wanted.documents or before.documents,
        rate=wanted.rate or before.rate,
        proof_required=before.proof_required if proof is None else proof,
        expires_at_utc=wanted.expires_at or before.expires_at_utc,
    )


async def _kept(pending: Awaitable[administration.Kept]) -> ApiClientPayload:
    try:
        kept = await pending
    except RuleBroken as broken:
        return ApiClientPayload(user_errors=told(broken))
    return ApiClientPayload(client=ApiClient.of(kept.client), secret=kept.secret)
