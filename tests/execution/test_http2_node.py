"""HTTP/2 against a server that we did not write: Node's, over TLS, which also leaves with GOAWAY."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from authz.identity.subject import ANONYMOUS
from router.execution.transport import SubgraphRequest
from router.execution.transports.http import HttpTransport
from router.operation.model import OperationKind
from router.traffic import Http2, SubgraphTraffic, TlsFiles, Traffic
from tests.kit_edge.certificates import Authority

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]
SERVER = """
const http2 = require('http2'), fs = require('fs'), zlib = require('zlib');
const [cert, key, ca] = process.argv.slice(1).map(one => fs.readFileSync(one));
const server = http2.createSecureServer({cert, key, ca, requestCert: true, rejectUnauthorized: true});
let served = 0;
server.on('stream', (stream, headers) => {
  const parts = [];
  stream.on('data', one => parts.push(one));
  stream.on('end', () => {
    const asked = JSON.parse(Buffer.concat(parts));
    served += 1;
    const last = served % 10 === 0;
    const data = {size: asked.variables.text.length, text: 'x'.repeat(200000)};
    const body = zlib.gzipSync(JSON.stringify({data}));
    stream.respond({':status': 200, 'content-type': 'application/json', 'content-encoding': 'gzip'});
    stream.end(body);
    if (last) stream.session.close();  // every tenth call is the last one of its connection
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@asynccontextmanager
async def node(authority: Authority) -> AsyncIterator[int]:
    certificate, key = authority.certificate("subgraph")
    process = await asyncio.create_subprocess_exec(
        "node",
        "-e",
        SERVER,
        str(certificate),
        str(key),
        str(authority.ca_file),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_calls_go_on_while_the_server_ends_its_connections(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.certificate("router")
    files = TlsFiles(ca_file=str(authority.ca_file), certificate_file=str(certificate), key_file=str(key))
    settings = SubgraphTraffic(http2=Http2.NEGOTIATED, tls=files, accept_compressed=True)
    async with node(authority) as port:
        transport = HttpTransport({"a": f"https://127.0.0.1:{port}/graphql"}, traffic=Traffic(all=settings))

        async def ask(number: int) -> int:
            request = SubgraphRequest(
                service="a", kind=OperationKind.QUERY, query="{a}", subject=ANONYMOUS,
                variables={"text": "y" * (number * 1_000)},
            )  # fmt: skip
            answer = await transport.fetch(request)
            assert answer.data is not None
            assert len(answer.data["text"]) == 200_000
            return int(answer.data["size"])

        for _ in range(2):
            sizes = await asyncio.gather(*(ask(number) for number in range(1, 31)))
            assert sizes == [number * 1_000 for number in range(1, 31)]
        await transport.close()
