"""A throw-away mongo-java-server: MongoDB's protocol in memory, each change of a collection in its turn.

Beside FerretDB, which looks a document up and writes it in two steps, it proves what needs one.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.servers.ferretdb import MongodbServer
from tests.servers.maven import jars_of
from tests.servers.programs import ServerProcess, answers, free_port

VERSION = "1.45.0"
HOW_TO_GET_IT = (
    "no mongo-java-server here: install Java 17 and Maven (Debian: `apt-get install openjdk-17-jdk-headless"
    " maven`) and run `python -m tests.servers.mongo_java` once, which fetches it from Maven Central"
)
_MAIN = Path(__file__).with_name("MongoForTests.java")


@contextlib.contextmanager
def running_mongo_java(*, fetch: bool = False) -> Iterator[MongodbServer]:
    """One server until the block ends; its jars first where it may `fetch`. Errors: ServerAbsent."""
    jars = jars_of("de.bwaldvogel", "mongo-java-server", VERSION, fetch=fetch, how_to_get_it=HOW_TO_GET_IT)
    folder = Path(tempfile.mkdtemp(prefix="stadion-mongo-java-"))
    try:
        port = free_port()
        java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        process = ServerProcess([*java, str(_MAIN), str(port)], folder=folder)
        process.start(lambda: answers(port), within_s=60)
        try:
            yield MongodbServer(f"mongodb://127.0.0.1:{port}", port, process)
        finally:
            process.stop(kill=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with running_mongo_java(fetch=True) as running:
        print(f"mongo-java-server {VERSION} answers on port {running.port}")
