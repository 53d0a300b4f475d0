"""A throw-away Neo4j Community (database and Bolt): its jars from Maven Central, kept in a cache folder."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from neo4j import GraphDatabase

from tests.servers.maven import jars_of
from tests.servers.programs import ServerProcess, answers, free_port

VERSION = "5.26.0"
HOW_TO_GET_IT = (
    "no Neo4j here: set STADION_TEST_NEO4J_URL=neo4j://user:password@host:7687, or install Java 17 and Maven"
    " (Debian: `apt-get install openjdk-17-jdk-headless maven`) and run `python -m tests.servers.neo4j` once,"
    " which fetches it from Maven Central"
)
_MAIN = Path(__file__).with_name("Neo4jForTests.java")
# What Neo4j needs of Java 17's own packages. Source: the `neo4j.conf` that Neo4j ships.
_OPENS = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent", "java.lang", "java.util")


_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Neo4jServer:
    """One running server."""

    url: str
    port: int
    _process: ServerProcess

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process.start(lambda: answers(self.port), within_s=90)

    def stop(self, *, kill: bool = False) -> None:
        """Stop it."""
        self._process.stop(kill=kill)


@contextlib.contextmanager
def running_neo4j(*, fetch: bool = False, more: Mapping[str, str] = _NOTHING) -> Iterator[Neo4jServer]:
    """One server until the block ends, with `more` settings; its jars first where it may `fetch`.

    Errors: ServerAbsent.
    """
    jars = jars_of("org.neo4j", "neo4j", VERSION, fetch=fetch, how_to_get_it=HOW_TO_GET_IT)
    home = Path(tempfile.mkdtemp(prefix="stadion-neo4j-"))
    try:
        port, password = free_port(), secrets.token_hex(12)
        process = ServerProcess(_command(jars, home, port, more), folder=home)
        server = Neo4jServer(f"neo4j://neo4j:{password}@127.0.0.1:{port}", port, process)
        server.start()
        try:
            _set_password(port, password)
            yield server
        finally:
            server.stop(kill=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _command(jars: Path, home: Path, port: int, more: Mapping[str, str]) -> list[str]:
    settings = {
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.bolt.advertised_address": f"127.0.0.1:{port}",
        "server.bolt.enabled": "true",
        "server.memory.pagecache.size": "32m",
        "dbms.usage_report.enabled": "false",
        "dbms.security.auth_enabled": "true",
        **more,
    }
    for folder in ("conf", "logs", "data", "plugins", "import", "run", "lib"):
        (home / folder).mkdir()
    lines = [f"{name}={value}" for name, value in settings.items()]
    (home / "conf" / "neo4j.conf").write_text("\n".join(lines) + "\n")
    opens = [word for name in _OPENS for word in ("--add-opens", f"java.base/{name}=ALL-UNNAMED")]
    java = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *opens, "-cp", f"{jars}/*"]
    return [*java, str(_MAIN), str(home), str(home / "conf" / "neo4j.conf")]


def _set_password(port: int, password: str) -> None:
    with (
        GraphDatabase.driver(f"bolt://127.0.0.1:{port}", auth=("neo4j", "neo4j")) as driver,
        driver.session(database="system") as session,
    ):
        changing = "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $password"
        session.run(changing, password=password).consume()


if __name__ == "__main__":
    with running_neo4j(fetch=True) as running:
        print(f"Neo4j {VERSION} answers on port {running.port}")
