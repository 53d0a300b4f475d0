"""Jars from Maven Central with all that they need, fetched once into a cache folder."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.servers.programs import ServerAbsent, cache_folder

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.stadion</groupId><artifactId>for-tests</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
  </dependency></dependencies>
</project>
"""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def jars_of(group: str, artifact: str, version: str, *, fetch: bool, how_to_get_it: str) -> Path:
    """The folder of the jars, fetched where it is not there yet and may be.  Errors: ServerAbsent."""
    if shutil.which("java") is None:
        raise ServerAbsent(how_to_get_it)
    jars = cache_folder(artifact) / version
    if jars.is_dir():
        return jars
    if not fetch or shutil.which("mvn") is None:
        raise ServerAbsent(how_to_get_it)
    # Into a folder of its own first: an interrupted download must not look like a finished one.
    fetching = Path(tempfile.mkdtemp(prefix="fetching-", dir=jars.parent))
    (fetching / "pom.xml").write_text(_POM.format(group=group, artifact=artifact, version=version))
    command = ["mvn", "-q", "-B", _COPY, f"-DoutputDirectory={fetching / 'jars'}"]
    try:
        subprocess.run(command, cwd=fetching, check=True, capture_output=True, timeout=600)
        with contextlib.suppress(OSError):  # another run was first
            (fetching / "jars").rename(jars)
    except (subprocess.SubprocessError, OSError) as error:
        raise ServerAbsent(
            f"{artifact} could not be fetched from Maven Central: {type(error).__name__}"
        ) from error
    finally:
        shutil.rmtree(fetching, ignore_errors=True)
    return jars
