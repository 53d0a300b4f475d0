"""`stadion router`: the router alone, on any Federation 2 supergraph."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from starlette.applications import Starlette

    from deploy.callers import Callers
    from deploy.named_policies import KeptPolicies
    from deploy.revocations import FollowedRevocations
    from deploy.settings import Settings
    from deploy.supergraphs import Source
    from deploy.surroundings import Surroundings
    from router.admission import ForeignIssuer
    from router.config import RouterConfig
    from router.edge.persisted import Registered
    from router.hooks import Hooks
    from router.pipeline import Router
    from router.snapshot import Snapshot

log = logging.getLogger("stadion.router.command")
POLL_S = 2.0
FILE_BYTES_MAX = 64_000_000


Introspection = Annotated[
    bool | None, typer.Option(help="answer `__schema` and `__type`, whatever the settings say")
]
Development = Annotated[
    bool, typer.Option("--dev", help="for development: introspection, subgraphs' errors as they are, plans")
]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(name="router")(router_command)


def router_command(
    *,
    supergraph: Annotated[
        str,
        typer.Option(help="supergraph SDL with @join__graph URLs: file, or URL [STADION_SUPERGRAPH_TOKEN]"),
    ],
    port: Annotated[int, typer.Option(help="port to listen on; 0 takes a free one")] = 4000,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    forward_header: Annotated[
        list[str] | None, typer.Option(help="request header to hand on to subgraphs; may be repeated")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="settings file (YAML); see `router/config.py`")] = None,
    persisted: Annotated[
        Path | None, typer.Option(help="manifest of registered documents (JSON); see `persisted.safelist`")
    ] = None,
    poll: Annotated[
        bool,
        typer.Option(
            "--poll", help="load the supergraph, the manifest and the policies anew when they change"
        ),
    ] = False,
    introspection: Introspection = None,
    dev: Development = False,
    jwks: Annotated[
        list[str] | None,
        typer.Option(
            help="file or URL of the keys (JWKS) that callers' tokens are signed with; ISSUER=URL for "
            "another issuer, may be repeated"
        ),
    ] = None,
    revocations: Annotated[
        str | None,
        typer.Option(help="URL of accounts, asked each second which sessions ended [needs the internal key]"),
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="issuer of those tokens [STADION_ISSUER]")] = None,
    audience: Annotated[str | None, typer.Option(help="audience of those tokens [STADION_AUDIENCE]")] = None,
    policies: Annotated[
        Path | None,
        typer.Option(help="who holds which policy that `@policy` names: a file of Casbin rules"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="processes that share the port")] = 1,
    hooks: Annotated[
        str | None, typer.Option(help="`MODULE:NAME` of a `router.hooks.Hooks` on the module path")
    ] = None,
) -> None:
    """Serve one supergraph: `POST /graphql`; ready when `/health/ready` answers 200.

    With `STADION_INTERNAL_KEY` set, every call to a subgraph is signed with it.
    """
    from deploy.settings import settings_with

    if not jwks and (issuer or audience or revocations):
        fail("`--issuer` and `--audience` say whose tokens are taken: name their keys with `--jwks`")
    environment = settings_with(every_region=True, issuer=issuer, audience=audience)
    files = _Files(
        supergraph=supergraph, config=config, persisted=persisted, hooks=hooks, jwks=tuple(jwks or ()),
        revocations=revocations, forwarded=tuple(forward_header or ()), introspection=introspection,
        poll=poll, policies=policies, dev=dev,
    )  # fmt: skip
    _serve(files, environment, host=host, port=port, workers=workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What the command line names: read at the start, and anew by each worker of a rolling restart."""

    supergraph: str
    config: Path | None
    persisted: Path | None
    hooks: str | None
    jwks: tuple[str, ...]
    revocations: str | None
    forwarded: tuple[str, ...]
    introspection: bool | None
    dev: bool
    poll: bool
    policies: Path | None

    def read(self, environment: Settings) -> _Read:
        """All of them; one clear line and exit code 1 where one cannot be used."""
        from deploy.manifests import registered_in
        from deploy.named_policies import policies_in
        from router.edge.persisted import Registered

        settings = _settings(
            self.config, list(self.forwarded), introspection=self.introspection, dev=self.dev
        )
        source = self.source(environment)
        sdl = read_supergraph_text(source)
        return _Read(
            settings=settings,
            registered=registered_in(self.persisted) if self.persisted else Registered(),
            callers=_callers(list(self.jwks), settings.issuers, environment, self.revocations)
            if self.jwks or settings.issuers
            else None,
            hooks=_hooks(self.hooks) if self.hooks else None,
            policies=policies_in(self.policies) if self.policies else None,
            snapshot=load_snapshot(sdl, source, settings),
            source=source,
        )

    def source(self, environment: Settings) -> Source:
        """Where the supergraph comes from."""
        from deploy.supergraphs import source_of

        token = environment.supergraph_token
        return source_of(self.supergraph, token=token.get_secret_value() if token else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What the files say."""

    settings: RouterConfig
    registered: Registered
    callers: Callers | None
    hooks: Hooks | None
    policies: KeptPolicies | None
    snapshot: Snapshot
    source: Source


def _serve(files: _Files, environment: Settings, *, host: str, port: int, workers: int) -> None:
    from deploy.surroundings import surroundings
    from deploy.telemetry import set_up_log
    from router.edge.listener_tls import CertificateUnusable, ListenerTls
    from router.edge.serve import AddressUnusable, listen, run

    read = files.read(environment)
    settings = read.settings
    try:
        if settings.tls.certificate_file:
            ListenerTls(settings.tls)
        around = surroundings(settings, environment, workers=workers)
        first = listen(host, port, shared=workers > 1)
        port = first.getsockname()[1]
        listening = [first, *(listen(host, port, shared=True) for _ in range(workers - 1))]
    except (AddressUnusable, CertificateUnusable) as error:
        fail(str(error))
    set_up_log("info", json_lines=settings.telemetry.json_logs)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    app = _app(files, read, environment, around, workers=workers)
    scheme = "https" if settings.tls.certificate_file else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/graphql"

    def ready() -> None:
        typer.echo(f"Stadion's router answers at {address}")

    if workers == 1:
        run(app, first, settings, ready=ready)
        return

    def serve(own: socket, worker_ready: Callable[[], None]) -> None:
        around.worker = listening.index(own)
        run(app, own, settings, ready=worker_ready, shared=True)

    def serve_anew(own: socket, worker_ready: Callable[[], None]) -> None:
        around.worker = listening.index(own)
        try:
            anew = files.read(environment)
            built = _app(files, anew, environment, around, workers=workers)
        except typer.Exit as told:
            raise SystemExit(told.exit_code) from None
        run(built, own, anew.settings, ready=worker_ready, shared=True)

    from deploy.workers import run_workers

    try:
        code = run_workers(listening, serve, ready=ready, serve_anew=serve_anew)
    finally:
        around.forget()
    raise typer.Exit(code)


def _app(
    files: _Files, read: _Read, environment: Settings, around: Surroundings, *, workers: int
) -> Starlette:
    """The router's app; one clear line and exit code 1 where something that it needs cannot be used."""
    from deploy.manifests import follow_manifest
    from deploy.subgraph_side import subgraph_side
    from router.edge.app import build_app
    from router.hooks import HookedRouter
    from router.operation.authorize import NO_RIGHTS
    from router.pipeline import Router

    settings, snapshot, callers, hooks = read.settings, read.snapshot, read.callers, read.hooks
    side = subgraph_side(snapshot, settings, environment, around if workers > 1 else None)
    rights, transport = callers.rights if callers else NO_RIGHTS, around.traced(side.transport)
    if read.policies:
        rights = replace(rights, grants=read.policies.grants, forbids=read.policies.forbids)
    router = (
        HookedRouter(snapshot, transport, config=settings, rights=rights, hooks=hooks)
        if hooks
        else Router(snapshot, transport, config=settings, rights=rights)
    )
    following = [*side.background, *around.background]
    if side.http.callbacks is not None and workers > 1:
        following.append(around.shared_callbacks(side.http.callbacks, settings))
    if files.poll:
        following.append(lambda: follow(read.source, router, side.take))
    if files.poll and files.persisted:
        manifest = files.persisted
        following.append(lambda: follow_manifest(manifest, app.state.persisted))
    if files.poll and read.policies:
        following.append(read.policies.follow)
    if callers:
        following.extend(callers.following)
    app = build_app(
        router,
        credentials=callers.credentials if callers else None,
        background=tuple(following),
        registered=read.registered,
        routes=side.routes,
        rates=around.rates,
    )
    return app


async def follow(
    path: Source, router: Router, take: Callable[[Snapshot], None], *, every_s: float | None = None
) -> None:
    """Serve the file or URL anew whenever its text changes; one that cannot be served leaves the old one."""
    from deploy.supergraphs import poll_s_of, text_of
    from router.snapshot import snapshot_of
    from router.telemetry import reloads_count

    seen = router.snapshot.sdl_sha256
    while True:
        await asyncio.sleep(poll_s_of(path) if every_s is None else every_s)
        try:
            sdl = await asyncio.to_thread(text_of, path)
            found = hashlib.sha256(sdl.encode()).hexdigest()
            if found == seen:
                continue
            seen = found
            snapshot = await asyncio.to_thread(snapshot_of, sdl, router.config)
            take(snapshot)
            await router.take(snapshot)
        except Exception as error:
            reloads_count.add(1, {"what": "supergraph", "outcome": "failed"})
            log.error("the supergraph `%s` was not loaded anew: %s", path, error)
            continue
        reloads_count.add(1, {"what": "supergraph", "outcome": "done"})
        log.info("the supergraph `%s` was loaded anew (%s)", path, found[:12])


def read_supergraph_text(source: Source) -> str:
    """The supergraph's text; one clear line and exit code 1 where it cannot be had."""
    from deploy.supergraphs import SupergraphUnread, text_of

    if isinstance(source, Path):
        return read_text_file(source, "supergraph")
    try:
        return text_of(source)
    except SupergraphUnread as error:
        fail(f"cannot read the supergraph `{source}`: {error}")


def read_text_file(path: Path, what: str) -> str:
    """The file's text; one clear line and exit code 1 where it cannot be had."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            fail(f"`{path}` is over {FILE_BYTES_MAX} bytes: not a {what}")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"cannot read the {what} `{path}`: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"cannot read the {what} `{path}`: it is not UTF-8 text")


def _settings(
    path: Path | None, forwarded: list[str], *, introspection: bool | None, dev: bool
) -> RouterConfig:
    """The settings of the file with what the command line says besides."""
    from deploy.config_command import read_settings
    from router.config import RouterConfig

    config = RouterConfig() if path is None else read_settings(path)
    names = tuple(dict.fromkeys([*config.forward_headers, *(name.strip().lower() for name in forwarded)]))
    config = replace(config, forward_headers=names)
    if dev:
        config = replace(config, introspection=True, expose_subgraph_errors=True, expose_query_plan=True)
    return config if introspection is None else replace(config, introspection=introspection)


def _callers(
    sources: list[str], others: Sequence[ForeignIssuer], environment: Settings, revocations: str | None
) -> Callers:
    from deploy.callers import KeysUnusable, callers_by, foreign_issuer, issuer_of

    followed = _revocations(revocations, environment) if revocations else None
    issuers = [issuer_of(one, issuer=environment.issuer, audience=environment.audience) for one in sources]
    named = ", ".join([*(f"--jwks {one}" for one in sources), *(f"issuers: {one.issuer}" for one in others)])
    try:
        return callers_by([*issuers, *map(foreign_issuer, others)], followed)
    except KeysUnusable as error:
        fail(f"`{named}`: {error}")
    except OSError as error:
        fail(f"`{named}`: the file cannot be read: {error.strerror}")


def _revocations(url: str, environment: Settings) -> FollowedRevocations:
    from authz.identity.internal import call_key
    from deploy.revocations import FollowedRevocations, reader_by

    if environment.internal_key is None:
        fail("`--revocations` needs `STADION_INTERNAL_KEY`: accounts tells those alone who hold it")
    if not url.startswith(("http://", "https://")):
        fail(f"`--revocations {url}`: write the URL of accounts")
    return FollowedRevocations(reader_by(url, call_key(environment.internal_key.get_secret_value().encode())))


def _hooks(named: str) -> Hooks:
    import importlib

    from router.hooks import Hooks

    module, _, name = named.partition(":")
    sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        fail(f"`--hooks {named}`: the module cannot be imported: {error}")
    except ValueError:
        found = None
    if not isinstance(found, Hooks):
        fail(f"`--hooks {named}`: write MODULE:NAME, where NAME is a `router.hooks.Hooks`")
    return found


def load_snapshot(sdl: str, path: Source, settings: RouterConfig | None = None) -> Snapshot:
    """The snapshot of the supergraph in `path`; one clear line and exit code 1 where it is none."""
    from graphql import GraphQLError

    from router.config import RouterConfig
    from router.operation.requirements import UnknownDataClass
    from router.snapshot import snapshot_of
    from schema.supergraph import InvalidSupergraph

    try:
        return snapshot_of(sdl, settings or RouterConfig())
    except (InvalidSupergraph, UnknownDataClass, GraphQLError, TypeError) as error:
        fail(f"`{path}` is not a supergraph that can be served: {str(error).splitlines()[0]}")


def fail(message: str) -> NoReturn:
    """One line on standard error, exit code 1."""
    typer.echo(f"stadion: {message}", err=True)
    raise typer.Exit(1)
