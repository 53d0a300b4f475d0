"""Several regions in one process: a whole platform over the stores of each, one directory, one endpoint.

A region's platform holds no store of another region, so nothing of it can reach one; which of them answers
what is decided before them, in `deploy/regional`. With no region in the settings none of this runs.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from authz.errors import InvalidToken
from authz.identity.internal import CallKey, call_key
from authz.identity.subject import Subject
from authz.identity.tokens import TokenTerms
from datastores.errors import Conflict, StoreError
from datastores.events.port import Event
from datastores.lifecycle import opened
from datastores.regions.directory import RegionDirectory
from datastores.regions.errors import CrossRegion
from datastores.relational.opening import open_relational
from deploy.assemble import Platform, platform
from deploy.consent_pages import consent_pages
from deploy.endpoint import config_of, published_supergraph
from deploy.file_links import file_routes
from deploy.keys import kept_secret
from deploy.oauth_routes import oauth_routes
from deploy.refusals import records_refusals
from deploy.regional.far import FarRegion
from deploy.regional.gate import gate_routes
from deploy.regional.homes import Homes, handle_name
from deploy.regional.ledger import RegionalLedger
from deploy.regional.neighbours import Neighbours
from deploy.regional.peers import Near, Peer
from deploy.regional.programs import Programs
from deploy.regional.routes import unrouted
from deploy.regional.subgraph import RegionalSubgraph
from deploy.settings import Settings
from deploy.stores import Stores
from deploy.surroundings import Surroundings
from router.edge.app import build_app
from router.edge.credentials import Credentials
from router.execution.transports.in_process import InProcessTransport
from router.hooks import HookedRouter, Hooks
from router.operation.authorize import Rights
from router.pipeline import Router
from router.snapshot import snapshot_of
from router.traffic import TlsFiles

log = logging.getLogger(__name__)
USER_REGISTERED = "user.registered"


@dataclass(frozen=True, slots=True)
class Regions:
    """The platforms that run here by region, those that run elsewhere, and who is at home where."""

    platforms: Mapping[str, Platform]
    homes: Homes
    far: Mapping[str, FarRegion] = field(default_factory=dict)
    key: CallKey | None = None
    """What regions on machines of their own prove calls with."""

    async def stores_of(self, owner_id: str) -> Stores:
        """The stores where rows, clinical rows and files of this person live.

        Errors: RegionUnknown; CrossRegion where they are not this process's.
        """
        region = await self.homes.directory.region_of(owner_id)
        if region not in self.platforms:
            raise CrossRegion("this person's stores are on machines of another region")
        return self.platforms[region].stores

    @property
    def peers(self) -> dict[str, Peer]:
        """Every region, wherever it runs."""
        near: dict[str, Peer] = {name: Near(each) for name, each in self.platforms.items()}
        return {**near, **self.far}

    @property
    def home(self) -> Platform:
        """The platform of this process's own region."""
        return self.platforms[self.homes.home]


@asynccontextmanager
async def regional_platform(settings: Settings) -> AsyncIterator[Regions]:
    """The platforms of all regions, open inside the block.

    Errors: StoreError, one clear sentence, where a store of one does not open.
    """
    url = settings.directory_url
    rows = open_relational(
        url.get_secret_value() if url else f"sqlite:///{settings.data_folder.resolve() / 'directory.db'}",
        search_path="regions",
    )
    directory = RegionDirectory(rows, kept_secret(settings.keys_path, "regions"))
    async with opened({"the directory of regions": directory}), AsyncExitStack() as stack:
        platforms: dict[str, Platform] = {}
        key = call_key(settings.regions_key.get_secret_value().encode()) if settings.regions_key else None
        far = await _far_regions(settings, key, stack)
        peers: dict[str, Peer] = {**far}
        for name in (each for each in settings.regions if each not in far):
            neighbours = Neighbours(name, directory, peers, frozenset(settings.regions))
            arriving = {"region-directory": ((USER_REGISTERED,), _settling(directory, name))}
            running = platform(
                settings.of_region(name),
                consumers={**arriving, **neighbours.consumers()},
                elsewhere=neighbours,
            )
            platforms[name] = await stack.enter_async_context(running)
            peers[name] = Near(platforms[name])
        yield Regions(platforms, Homes(directory, settings.home_region), far, key)


async def _far_regions(
    settings: Settings, key: CallKey | None, stack: AsyncExitStack
) -> dict[str, FarRegion]:
    """The regions that run elsewhere; their connections end with `stack`.

    Errors: StoreError where an address or a certificate cannot be used.
    """
    found: dict[str, FarRegion] = {}
    terms = TokenTerms(settings.issuer, settings.audience)
    for name, region in settings.regions.items():
        if not region.url or key is None:
            continue
        files = (region.ca_file, region.certificate_file, region.key_file)
        ca_file, certificate_file, key_file = (str(each) if each else "" for each in files)
        tls = TlsFiles(ca_file=ca_file, certificate_file=certificate_file, key_file=key_file)
        try:
            found[name] = FarRegion(name, region.url, key, terms, tls=tls)
        except (ValueError, OSError) as error:
            raise StoreError(f"the region `{name}` cannot be called: {error}") from None
        stack.push_async_callback(found[name].close)
    return found


def _settling(directory: RegionDirectory, region: str) -> Callable[[Event], Awaitable[None]]:
    """Who registers in a region is at home there, under their id and their handle."""

    async def settle(event: Event) -> None:
        await directory.settle(region, [str(event.payload["user_id"])])
        try:
            handle = handle_name(str(event.payload["handle"]))
            await directory.settle(region, [handle], of=str(event.payload["user_id"]))
        except Conflict:
            log.warning("a handle was taken in two regions at once: who came second logs in at home alone")

    return settle


def regional_endpoint(regions: Regions, *, around: Surroundings | None = None) -> Starlette:
    """`/graphql` for people of every region: each call runs over the stores of one. `around` is what stands
    around an app that is served."""

    async def start(_: Request) -> Response:
        return RedirectResponse("/graphql")

    async def jwks(_: Request) -> Response:
        keys = [key for each in regions.platforms.values() for key in each.keys.jwks()["keys"]]
        return JSONResponse({"keys": keys}, headers={"cache-control": "public, max-age=300"})

    files = [route for each in regions.platforms.values() for route in file_routes(each)]
    gate = gate_routes(regions.platforms, regions.key) if regions.key else ()
    oauth = (*_oauth(regions), Route("/.well-known/jwks.json", jwks))
    routes = (*oauth, *files, *gate, Route("/", start))
    following = tuple(follow for each in regions.far.values() for follow in each.following)
    return build_app(
        _router_of(regions),
        credentials=_credentials_of(regions),
        routes=routes,
        background=(*following, *(around.background if around else ())),
        rates=around.rates if around else None,
    )


def transport_of(regions: Regions) -> InProcessTransport:
    """Subgraphs by name, each over all regions."""
    return InProcessTransport({name: _over_all(regions, name) for name in regions.home.subgraphs})


def _over_all(regions: Regions, name: str) -> RegionalSubgraph:
    """One subgraph over all regions."""
    served = {region: each.served(name) for region, each in regions.peers.items()}
    return RegionalSubgraph(served, regions.homes)


def _oauth(regions: Regions) -> tuple[BaseRoute, ...]:
    """Endpoints for programs and the pages for people, at every door for everybody."""
    settings = regions.home.settings
    proxies = config_of(settings).proxies
    answers = Programs(regions.peers, regions.homes).answers()
    pages = consent_pages(_over_all(regions, "accounts"), _credentials_of(regions), proxies)
    return (*oauth_routes(settings, answers, proxies), *pages)


def _router_of(regions: Regions) -> Router:
    config = config_of(regions.home.settings)
    snapshot = snapshot_of(published_supergraph(), config)
    if missing := unrouted(snapshot.api_schema):
        raise StoreError(f"it is not known which region answers {', '.join(f'`{each}`' for each in missing)}")
    rights = Rights(can_ever=regions.home.authorizer.can_ever)
    refused = records_refusals(RegionalLedger(regions.peers, regions.homes), rights, snapshot)
    transport = transport_of(regions)
    return HookedRouter(snapshot, transport, config=config, rights=rights, hooks=Hooks(parsed=(refused,)))


def _credentials_of(regions: Regions) -> Credentials:
    """A token is believed by the region whose key signed it, which is where its holder is at home."""
    verifiers = [each.verifier for each in regions.platforms.values()]
    elsewhere = [each.credentials for each in regions.far.values()]

    async def authenticate(token: str) -> Subject:
        refused: InvalidToken | None = None
        for verifier in verifiers:
            try:
                return verifier.verify(token)
            except InvalidToken as error:
                refused = error
        for each in elsewhere:
            if each.authenticate is not None:
                try:
                    return await each.authenticate(token)
                except InvalidToken as error:
                    refused = error
        raise refused or InvalidToken

    def is_active(subject: Subject) -> bool:
        return all(verifier.still_valid(subject) for verifier in verifiers) and all(
            each.is_active is None or each.is_active(subject) for each in elsewhere
        )

    return Credentials(authenticate=authenticate, is_active=is_active)
