"""A throw-away Neo4j Community (database and Bolt): its jars from Maven Central, kept in a cache folder."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from neo4j import GraphDatabase

from tests.servers.programs import ServerAbsent, ServerProcess, answers, cache_folder, free_port

VERSION = "5.26.0"
HOW_TO_GET_IT = (
    "no Neo4j here: set STADION_TEST_NEO4J_URL=neo4j://user:password@host:7687, or install Java 17 and Maven"
    " (Debian: `apt-get install openjdk-17-jdk-headless maven`) and run `python -m tests.servers.neo4j` once,"
    " which fetches it from Maven Central"
)
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.stadion</groupId><artifactId>neo4j-for-tests</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""
_MAIN = Path(__file__).with_name("Neo4jForTests.java")
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
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
    jars = _jars(fetch=fetch)
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


def _jars(*, fetch: bool) -> Path:
    """The folder of the server's jars, fetched where it is not there yet."""
    if shutil.which("java") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    jars = cache_folder("neo4j") / VERSION
    if jars.is_dir():
        return jars
    if not fetch or shutil.which("mvn") is None:
        raise ServerAbsent(HOW_TO_GET_IT)
    # Into a folder of its own first: an interrupted download must not look like a finished one.
    fetching = Path(tempfile.mkdtemp(prefix="fetching-", dir=jars.parent))
    (fetching / "pom.xml").write_text(_POM)
    command = ["mvn", "-q", "-B", _COPY, f"-DoutputDirectory={fetching / 'jars'}"]
    try:
        subprocess.run(command, cwd=fetching, check=True, capture_output=True, timeout=600)
        with contextlib.suppress(OSError):  # another run was first
            (fetching / "jars").rename(jars)
    except (subprocess.SubprocessError, OSError) as error:
        raise ServerAbsent(
            f"Neo4j could not be fetched from Maven Central: {type(error).__name__}"
        ) from error
    finally:
        shutil.rmtree(fetching, ignore_errors=True)
    return jars


if __name__ == "__main__":
    with running_neo4j(fetch=True) as running:
        print(f"Neo4j {VERSION} answers on port {running.port}")
