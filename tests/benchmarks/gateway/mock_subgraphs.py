"""The benchmark's four subgraphs in one fast process: every operation text is compiled once to a projection.

Run: `python -m tests.benchmarks.gateway.mock_subgraphs --port 4200`.
`/stats` counts requests, `/reset` zeroes them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httptools
import orjson
import uvloop
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    SelectionSetNode,
    VariableNode,
    parse,
)
from graphql.language import OperationDefinitionNode, StringValueNode

HERE = Path(__file__).parent
ROWS = orjson.loads((HERE / "dataset.json").read_bytes())
FLAT_ITEMS = 1000

Row = dict[str, Any]
Projection = Callable[[Row], Row]


def link_rows() -> dict[str, dict[str, Row]]:
    """The dataset as objects that point to one another, by type and key."""
    users = {row["id"]: {"__typename": "User", **row} for row in ROWS["users"]}
    products = {row["upc"]: {"__typename": "Product", **row} for row in ROWS["products"]}
    for row in (*users.values(), *products.values()):
        row["reviews"] = []
    author = users["1"]  # as in the public dataset: one person wrote everything …
    for source in ROWS["reviews"]:
        product = products[source["upc"]]
        review = {"__typename": "Review", **source, "author": author, "product": product}
        product["reviews"].append(review)
    first_two = [products["1"]["reviews"][0], products["1"]["reviews"][1]]
    for row in users.values():
        row["reviews"] = first_two  # … and every person lists the same two reviews
    item = {"__typename": "Item", "id": "1", **{f"v{number}": number for number in range(200)}}
    return {"User": users, "Product": products, "Item": {"1": item}}


OBJECTS = link_rows()


def shipping_estimate(row: Row) -> int | None:
    """As the public benchmark's inventory computes it: free above 1000, else half the weight."""
    if row.get("price") is None or row.get("weight") is None:
        return None
    return 0 if row["price"] > 1000 else round(row["weight"] * 0.5)


def compile_selection(selection: SelectionSetNode, named: dict[str, FragmentDefinitionNode]) -> Projection:
    """One closure for a selection set; fragments are taken to match by type name."""
    plain: list[tuple[str, str]] = []
    nested: list[tuple[str, str, Projection]] = []
    fragments: list[tuple[str, Projection]] = []
    for node in selection.selections:
        if isinstance(node, InlineFragmentNode):
            type_name = node.type_condition.name.value if node.type_condition else ""
            fragments.append((type_name, compile_selection(node.selection_set, named)))
            continue
        if isinstance(node, FragmentSpreadNode):
            spread = named[node.name.value]
            type_name = spread.type_condition.name.value
            fragments.append((type_name, compile_selection(spread.selection_set, named)))
            continue
        assert isinstance(node, FieldNode)
        key = node.alias.value if node.alias else node.name.value
        if node.selection_set:
            nested.append((key, node.name.value, compile_selection(node.selection_set, named)))
        else:
            plain.append((key, node.name.value))

    def project(row: Row) -> Row:
        result = {
            key: shipping_estimate(row) if name == "shippingEstimate" else row.get(name)
            for key, name in plain
        }
        for key, name, child in nested:
            value = row[name]
            result[key] = [child(item) for item in value] if isinstance(value, list) else child(value)
        for type_name, child in fragments:
            if row["__typename"] == type_name:
                result |= child(row)
        return result

    return project


def argument(node: FieldNode, name: str, variables: Row) -> Any:
    """The value of one argument; None where it is not given."""
    for given in node.arguments or ():
        if given.name.value == name:
            if isinstance(given.value, VariableNode):
                return variables.get(given.value.name.value)
            if isinstance(given.value, IntValueNode):
                return int(given.value.value)
            assert isinstance(given.value, StringValueNode)
            return given.value.value
    return None


def resolve_root(node: FieldNode, variables: Row, project: Projection) -> Any:
    """One root field of any of the four subgraphs."""
    match node.name.value:
        case "users":
            return [project(row) for row in OBJECTS["User"].values()]
        case "me":
            return project(OBJECTS["User"]["1"])
        case "user":
            # six people answer to any number of ids, so that no two texts need be the same
            number = int(argument(node, "id", variables))
            row = OBJECTS["User"].get(str((number - 1) % len(OBJECTS["User"]) + 1))
            return project(row) if row else None
        case "item":
            return project(OBJECTS["Item"]["1"])
        case "topProducts":
            first = argument(node, "first", variables)
            rows = list(OBJECTS["Product"].values())
            count = 5 if first is None else first
            repeated = [rows[i % len(rows)] for i in range(count)] if count > len(rows) else rows[:count]
            return [project(row) for row in repeated]
        case "_entities":
            return [entity(r, project) for r in argument(node, "representations", variables)]
    raise LookupError(node.name.value)


def entity(representation: Row, project: Projection) -> Row | None:
    """The row behind a representation; required fields in it win, as a real subgraph reads them."""
    kind = representation["__typename"]
    row = OBJECTS[kind].get(representation.get("id") or representation.get("upc"))
    return None if row is None else project({**row, **representation} if len(representation) > 2 else row)


class Operations:
    """Compiled operations by text; bounded, so that texts which are never seen again are dropped."""

    def __init__(self, texts_max: int = 2_000) -> None:
        self.texts_max = texts_max
        self.compiled: dict[str, list[tuple[str, FieldNode, Projection]]] = {}

    def get(self, text: str) -> list[tuple[str, FieldNode, Projection]]:
        """The root fields of `text`, each with its projection."""
        found = self.compiled.get(text)
        if found is None:
            definitions = parse(text, no_location=True).definitions
            named = {it.name.value: it for it in definitions if isinstance(it, FragmentDefinitionNode)}
            operation = next(it for it in definitions if isinstance(it, OperationDefinitionNode))
            found = []
            for node in operation.selection_set.selections:
                assert isinstance(node, FieldNode)
                assert node.selection_set
                key = node.alias.value if node.alias else node.name.value
                found.append((key, node, compile_selection(node.selection_set, named)))
            if len(self.compiled) >= self.texts_max:
                self.compiled.clear()
            self.compiled[text] = found
        return found


OPERATIONS = Operations()
STATS = {"requests": 0}


def answer(body: bytes) -> bytes:
    """One GraphQL request to one response."""
    STATS["requests"] += 1
    request = orjson.loads(body)
    variables = request.get("variables") or {}
    roots = OPERATIONS.get(request["query"])
    return orjson.dumps(
        {"data": {key: resolve_root(node, variables, project) for key, node, project in roots}}
    )


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start parsing."""
        self.transport = cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = bytearray()
        self.path = ""

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Remember the path."""
        self.path = url.decode()

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Answer at once."""
        if self.path == "/stats":
            content = orjson.dumps(STATS)
        elif self.path == "/reset":
            STATS["requests"] = 0
            content = b"{}"
        else:
            content = answer(bytes(self.body))
        self.body.clear()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
            + str(len(content)).encode() + b"\r\n\r\n" + content
        )  # fmt: skip


async def serve(port: int) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port)
    print(f"ready on {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=4200)
    uvloop.run(serve(options.parse_args().port))
