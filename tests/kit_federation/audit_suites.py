"""The subgraphs of the federation audit: its SDLs and rows, with resolvers of ours.

A field that a subgraph marks external has no value in its rows unless a path provides it, so that a plan that
asks the wrong subgraph answers null.
"""

# ruff: noqa: A006, N803 (resolvers take GraphQL arguments by their names)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kit_federation.audit_suites_more import SUITES
from tests.kit_federation.mock_subgraph import MockSubgraph, Resolver, Row

AUDIT = Path(__file__).parent.parent / "data" / "graphql" / "federation-audit"

Parts = dict[str, dict[str, Any]]
"""Subgraph name → `rows`, `resolvers`, `entities` of its MockSubgraph."""

_suites: dict[str, Callable[[Any], Parts]] = dict(SUITES)


def audit_suites() -> list[str]:
    """The names of all suites in the data folder."""
    return sorted(it.name for it in AUDIT.iterdir() if it.is_dir())


def audit_tests(suite: str) -> list[dict[str, Any]]:
    """The suite's queries, each with the answer that is owed."""
    tests: list[dict[str, Any]] = json.loads((AUDIT / suite / "tests.json").read_text())
    return tests


def audit_subgraphs(suite: str) -> list[MockSubgraph]:
    """The suite's subgraphs with rows of their own: what one test changes, another does not see."""
    path = AUDIT / suite / "data.json"
    parts = _suites[suite](json.loads(path.read_text()) if path.exists() else {})
    return [
        MockSubgraph(it.stem, it.read_text(), **parts.get(it.stem, {}))
        for it in sorted((AUDIT / suite / "subgraphs").glob("*.graphql"))
    ]


def _suite(*names: str) -> Callable[[Callable[[Any], Parts]], Callable[[Any], Parts]]:
    def register(build: Callable[[Any], Parts]) -> Callable[[Any], Parts]:
        _suites.update(dict.fromkeys(names, build))
        return build

    return register


def _only(rows: list[Row], *names: str) -> list[Row]:
    """The rows with these fields alone: what one subgraph knows."""
    return [{name: row[name] for name in names if name in row} for row in rows]


def _by(rows: list[Row], name: str, value: object) -> Row | None:
    return next((row for row in rows if row.get(name) == value), None)


@_suite("abstract-types")
def _abstract_types(data: Any) -> Parts:
    products = data["products"]
    reviews = data["reviews"]
    books = [it for it in products if it["__typename"] == "Book"]
    magazines = [it for it in products if it["__typename"] == "Magazine"]
    email_of = {it["id"]: it["email"] for it in data["users"]}
    public = ("__typename", "id", "sku", "dimensions", "hidden", "createdBy", "publisher")

    def similar(it: Row) -> list[Row]:
        same = books if it["__typename"] == "Book" else magazines
        return [row for row in same if row["id"] != it["id"]]

    def created_by(it: Row) -> Row:
        return {"email": email_of[it["createdBy"]], "total": 2}

    def created(it: Row) -> int:
        return sum(email_of[row["createdBy"]] == it["email"] for row in products)

    def reviews_of(it: Row) -> list[Row]:
        return [row for row in reviews if row["productId"] == it["id"]]

    def product_of(it: Row) -> Row | None:
        row = _by(products, "id", it["productId"])
        return None if row is None else {"__typename": row["__typename"], "id": row["id"]}

    def delivery(it: Row, zip: str | None = None) -> Row:
        assert it["dimensions"]["size"] and it["dimensions"]["weight"], "the requirement is not there"
        return {"estimatedDelivery": "1 day", "fastestDelivery": "same day"}

    per_product: dict[str, Resolver] = {}
    reviewing: dict[str, Resolver] = {}
    for name in ("Book", "Magazine"):
        per_product |= {
            f"{name}.similar": similar,
            f"{name}.createdBy": created_by,
            f"{name}.publisherType": lambda it: it["publisher"],
        }
        reviewing |= {
            f"{name}.reviews": reviews_of,
            f"{name}.reviewsCount": lambda it: len(reviews_of(it)),
            f"{name}.reviewsScore": lambda it: sum(row["score"] for row in reviews_of(it)),
            f"{name}.reviewsOfSimilar": lambda it: [row for one in it["similar"] for row in reviews_of(one)],
        }
    return {
        "agency": {"rows": {"Agency": data["agencies"], "Group": []}},
        "books": {
            "rows": {"Book": _only(books, "id", "title")},
            "resolvers": {"Query.books": lambda _: books},
        },
        "magazines": {
            "rows": {"Magazine": _only(magazines, "id", "title")},
            "resolvers": {"Query.magazines": lambda _: magazines},
        },
        "inventory": {
            "rows": {"Book": _only(books, "id"), "Magazine": _only(magazines, "id")},
            "resolvers": {"Book.delivery": delivery, "Magazine.delivery": delivery},
        },
        "products": {
            "rows": {
                "Book": _only(books, *public),
                "Magazine": _only(magazines, *public),
                "User": _only(data["users"], "email"),
            },
            "resolvers": {
                "Query.products": lambda _: products,
                "Query.similar": lambda _, id: similar(_by(products, "id", id) or {}),
                "User.totalProductsCreated": created,
                **per_product,
            },
        },
        "reviews": {
            "rows": {"Book": _only(books, "id"), "Magazine": _only(magazines, "id")},
            "resolvers": {
                "Query.review": lambda _, id: _by(reviews, "id", id),
                "Review.product": product_of,
                **reviewing,
            },
        },
        "users": {"rows": {"User": data["users"]}, "resolvers": {"User.totalProductsCreated": created}},
    }


@_suite("circular-reference-interface")
def _circular(data: Any) -> Parts:
    books = data["books"]

    def same_price(it: Row) -> Row | None:
        price = (_by(books, "id", it["id"]) or {})["price"]
        found = (row for row in books if row["price"] == price and row["id"] != it["id"])
        return next(found, None)

    return {
        "a": {
            "rows": {"Book": _only(books, "id")},
            "resolvers": {
                "Query.product": lambda _: {"__typename": "Book", "id": books[0]["id"]},
                "Book.samePriceProduct": same_price,
            },
        },
        "b": {"rows": {"Book": books}},
    }


@_suite("corrupted-supergraph-node-id")
def _corrupted(data: Any) -> Parts:
    accounts, chats = data["accounts"], data["chats"]

    def node(_: Any, id: str) -> Row | None:
        return _by(accounts, "id", id) or _by(chats, "id", id)

    return {
        "a": {
            "rows": {"Account": accounts, "Chat": chats},
            "resolvers": {
                "Query.node": node,
                "Query.account": lambda _, id: _by(accounts, "id", id),
                "Chat.account": lambda it: _by(
                    accounts, "id", (_by(chats, "id", it["id"]) or {})["accountId"]
                ),
            },
        },
        "b": {
            "rows": {"Account": _only(accounts, "id"), "Chat": chats},
            "resolvers": {
                "Query.node": node,
                "Query.chat": lambda _, id: _by(chats, "id", id),
                "Account.chats": lambda it: [row for row in chats if row["accountId"] == it["id"]],
            },
        },
    }


@_suite(
    "fed1-external-extends", "fed1-external-extension", "fed2-external-extends", "fed2-external-extension"
)
def _external(data: Any) -> Parts:
    users = data["users"]
    return {
        "a": {
            "rows": {"User": _only(users, "id", "rid")},
            "resolvers": {
                "Query.randomUser": lambda _: _only(users, "id", "rid")[0],
                "Query.providedRandomUser": lambda _: _only(users, "id", "rid", "name")[0],
            },
        },
        "b": {
            "rows": {"User": _only(users, "id", "name", "nickname")},
            "resolvers": {"Query.userById": lambda _, id: _by(users, "id", id)},
        },
    }


@_suite("fed1-external-extends-resolvable")
def _resolvable(data: Any) -> Parts:
    products = data["products"]
    return {
        "a": {
            "rows": {"Product": _only(products, "id", "name", "pid")},
            "resolvers": {"Query.productInA": lambda _: _only(products, "id", "name", "pid")[0]},
        },
        "b": {
            "rows": {"Product": _only(products, "id", "name", "upc", "price")},
            "resolvers": {"Query.productInB": lambda _: products[0]},
        },
    }


@_suite("input-object-intersection")
def _inputs(data: Any) -> Parts:
    users = data["users"]
    return {
        "a": {"rows": {"User": users}, "resolvers": {"Query.usersInA": lambda _, filter: users}},
        "b": {"rows": {"User": users}, "resolvers": {"Query.usersInB": lambda _, filter: users}},
    }


@_suite("mutations")
def _mutations(_: Any) -> Parts:
    products: list[Row] = [{"id": "p1", "name": "p1-name", "price": 9.99}]
    numbers: dict[str, int] = {}
    categories: list[Row] = []

    def add_product(_: Any, input: Row) -> Row:
        products.append({"id": f"p-added-{len(products)}", **input})
        return products[-1]

    def add_category(_: Any, name: str, requestId: str) -> Row:
        assert not categories, "the mutation ran twice"
        categories.append({"id": f"c-added-{requestId}", "name": name})
        return categories[-1]

    def add(_: Any, num: int, requestId: str) -> int:
        numbers[requestId] = numbers.get(requestId, 0) + num
        return numbers[requestId]

    def multiply(_: Any, by: int, requestId: str) -> int:
        numbers[requestId] *= by
        return numbers[requestId]

    return {
        "a": {
            "rows": {"Product": products, "Category": categories},
            "resolvers": {
                "Mutation.addProduct": add_product,
                "Mutation.addCategory": add_category,
                "Mutation.multiply": multiply,
                "Query.product": lambda _, id: _by(products, "id", id),
                "Query.products": lambda _: products,
            },
        },
        "b": {
            "entities": {
                "Product": lambda it: {"__typename": "Product", **it},
                "Category": lambda it: _by(categories, "id", it["id"]),
            },
            "resolvers": {
                "Product.isExpensive": lambda it: it["price"] > 100,
                "Product.isAvailable": lambda _: True,
                "Mutation.delete": lambda _, requestId: numbers.pop(requestId),
                "Mutation.addCategory": add_category,
            },
        },
        "c": {"resolvers": {"Mutation.add": add}},
    }
