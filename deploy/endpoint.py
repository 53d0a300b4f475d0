"""The one endpoint: the published supergraph before the platform's subgraphs, as an ASGI application."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from authz.classes import Role
from authz.identity.subject import Subject
from deploy.assemble import Platform
from deploy.consent_pages import consent_pages
from deploy.file_links import file_routes
from deploy.oauth_routes import answers_of, oauth_routes
from deploy.refusals import ledger_of, records_refusals
from deploy.settings import Settings
from deploy.surroundings import Surroundings, surroundings
from router.admission import ClientClass, Demand, DemandControl, ProofNonceSettings, Safelist
from router.config import RouterConfig
from router.edge.app import build_app
from router.edge.credentials import Credentials
from router.edge.persisted import Registered
from router.execution.transport import SubgraphTransport
from router.execution.transports.in_process import InProcessTransport
from router.hooks import HookedRouter, Hooks
from router.operation.authorize import Rights
from router.pipeline import Router
from router.snapshot import snapshot_of
from subgraphs.accounts.oauth.model import ClientDocuments, ClientKind, ClientRate, class_name

PARTNER_COST_MAX = 1_000
SERVICE_COST_MAX = 10_000
REQUESTS_PER_MINUTE_MAX = {ClientRate.STANDARD: 600, ClientRate.RAISED: 3_000, ClientRate.BULK: 12_000}
SAFELISTS = {
    ClientDocuments.IDS: Safelist.IDS_ONLY,
    ClientDocuments.TEXTS: Safelist.KNOWN_TEXTS,
    ClientDocuments.ANY: Safelist.OFF,
}
PUBLISHED = Path(__file__).resolve().parents[1] / "schema" / "published"


def published_supergraph() -> str:
    """The supergraph SDL that is checked in; a test holds it to what the subgraphs compose to."""
    return (PUBLISHED / "supergraph.graphql").read_text(encoding="utf-8")


def config_of(settings: Settings) -> RouterConfig:
    """The router's settings for this platform: each caller reads the schema that their rights can reach;
    programs run what they were registered for, as often, within a budget, and read no schema at all.
    Subgraphs of the platform word their errors for clients, and mask their faults themselves: all of them are
    shown."""
    return RouterConfig(
        public_urls=settings.public_urls,
        proof_nonces=ProofNonceSettings(
            required=settings.proof_nonces_key is not None,
            key=settings.proof_nonces_key.get_secret_value() if settings.proof_nonces_key else "",
        ),
        drain_ms_max=round(settings.drain_timeout_s * 1_000),
        introspection=True,
        introspection_by_caller=True,
        expose_subgraph_errors=True,
        client_classes=client_classes(),
        demand=DemandControl(mode=Demand.ENFORCE, measure_answers=False),
    )


def client_classes() -> dict[str, ClientClass]:
    """What holds for a program, by the class that its token names; a partner's token without any is of the
    strictest."""
    kinds = itertools.product(ClientKind, ClientDocuments, ClientRate)
    found = {
        class_name(kind, documents, rate): ClientClass(
            safelist=SAFELISTS[documents],
            introspection=False,
            cost_max=PARTNER_COST_MAX if kind is ClientKind.PARTNER else SERVICE_COST_MAX,
            requests_per_minute_max=REQUESTS_PER_MINUTE_MAX[rate],
        )
        for kind, documents, rate in kinds
    }
    strictest = found[class_name(ClientKind.PARTNER, ClientDocuments.IDS, ClientRate.STANDARD)]
    return {**found, "partner": replace(strictest, roles=(Role.PARTNER.value,))}


def router_of(platform: Platform, transport: SubgraphTransport | None = None) -> Router:
    """The router over the platform's subgraphs, in-process unless another transport is given.

    What it refuses of protected classes before planning is recorded, as what a subgraph refuses is.
    """
    config, rights = config_of(platform.settings), Rights(can_ever=platform.authorizer.can_ever)
    snapshot = snapshot_of(published_supergraph(), config)
    return HookedRouter(
        snapshot,
        transport or InProcessTransport(platform.subgraphs),
        config=config,
        rights=rights,
        hooks=Hooks(parsed=(records_refusals(ledger_of(platform), rights, snapshot),)),
    )


def credentials_of(platform: Platform) -> Credentials:
    """Callers are known by the platform's own access tokens."""

    async def authenticate(token: str) -> Subject:
        return platform.verifier.verify(token)

    return Credentials(
        authenticate=authenticate,
        authenticate_now=platform.verifier.verify,
        is_active=platform.verifier.still_valid,
    )


def endpoint(
    platform: Platform,
    transport: SubgraphTransport | None = None,
    *,
    registered: Registered | None = None,
    around: Surroundings | None = None,
) -> Starlette:
    """`/graphql`, `/health/*`, `/.well-known/jwks.json`, `/oauth/*`; `/` leads to the explorer. `registered`
    are the documents that clients may name by id; `around` is given where several processes serve.

    Errors: AddressUnusable where the port of the metrics cannot be had.
    """

    async def start(_: Request) -> Response:
        return RedirectResponse("/graphql")

    config = config_of(platform.settings)
    around = around or surroundings(config, platform.settings)
    credentials = credentials_of(platform)
    oauth = oauth_routes(platform.settings, answers_of(platform), config.proxies)
    oauth += consent_pages(platform.subgraphs["accounts"], credentials, config.proxies)
    return build_app(
        router_of(platform, around.traced(transport) if transport else None),
        credentials=credentials,
        background=around.background,
        routes=(jwks_route(platform), *oauth, *file_routes(platform), Route("/", start)),
        rates=around.rates,
        registered=registered,
    )


def jwks_route(platform: Platform) -> Route:
    """The public keys of the platform's access tokens, for other verifiers.  Source: RFC 7517."""

    async def jwks(_: Request) -> Response:
        return JSONResponse(platform.keys.jwks(), headers={"cache-control": "public, max-age=300"})

    return Route("/.well-known/jwks.json", jwks)
