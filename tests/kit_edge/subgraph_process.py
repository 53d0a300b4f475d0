"""A subgraph as a process, to be killed: `python -m tests.kit_edge.subgraph_process PORT SAYS`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


async def serve(port: int, says: str) -> None:
    """Answer every query after a moment, until the process is killed."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.002)
        return web.json_response({"data": {"hello": says}})

    app = web.Application()
    app.router.add_post("/graphql", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
