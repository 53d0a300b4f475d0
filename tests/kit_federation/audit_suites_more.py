"""More suites of the federation audit: nested and partial types, requirements, shared roots, overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kit_federation.mock_subgraph import Row

Parts = dict[str, dict[str, Any]]


def _only(rows: list[Row], *names: str) -> list[Row]:
    return [{name: row[name] for name in names if name in row} for row in rows]


def _by(rows: list[Row], name: str, value: object) -> Row | None:
    return next((row for row in rows if row.get(name) == value), None)


def _nested_provides(data: Any) -> Parts:
    products, categories = data["products"], data["categories"]

    def provided(id: str) -> Row:
        row = _by(categories, "id", id) or {}
        below = [_by(categories, "id", it) or {} for it in row["subCategories"]]
        return {**row, "subCategories": _only(below, "id", "name")}

    return {
        "all-products": {"rows": {"Product": _only(products, "id")}},
        "category": {
            "rows": {"Product": _only(products, "id"), "Category": _only(categories, "id")},
            "resolvers": {
                "Query.products": lambda _: [
                    {"id": it["id"], "categories": [provided(key) for key in it["categories"]]}
                    for it in products
                ]
            },
        },
        "subcategories": {
            "rows": {"Product": products, "Category": categories},
            "resolvers": {
                "Product.categories": lambda it: [{"id": key} for key in it["categories"]],
                "Category.subCategories": lambda it: [
                    {"id": key} for key in (_by(categories, "id", it["id"]) or {})["subCategories"]
                ],
            },
        },
    }


def _non_resolvable(data: Any) -> Parts:
    products = data["products"]
    return {
        "a": {
            "resolvers": {
                # the subgraph has no object type of Node, so it cannot say of which type this is
                "Query.a": lambda _: {"id": "n1"},
                "Query.product": lambda _: {"id": products[0]["id"]},
            }
        },
        "b": {
            "rows": {"Bread": products, "Product": products},
            "resolvers": {"Query.b": lambda _: {"id": "n1", "field": "foo"}},
        },
    }


def _override_type_interface(data: Any) -> Parts:
    images = data["imagePosts"]
    return {
        "a": {
            "rows": {"ImagePost": _only(images, "__typename", "id")},
            "resolvers": {
                "Query.feed": lambda _: [{**it, "createdAt": "NEVER"} for it in images],
            },
        },
        "b": {
            "rows": {"ImagePost": images, "TextPost": data["textPosts"]},
            "resolvers": {"Query.anotherFeed": lambda _: images},
        },
    }


def _parent_entity_call(data: Any) -> Parts:
    products, categories = data["products"], data["categories"]

    def category(*names: str) -> Callable[[Row], Row]:
        def resolve(it: Row) -> Row:
            product = _by(products, "id", it["id"]) or {}
            return _only([_by(categories, "id", product["categoryId"]) or {}], *names)[0]

        return resolve

    return {
        "a": {
            "rows": {"Product": products, "Category": _only(categories, "id", "name")},
            "resolvers": {"Query.products": lambda _: products, "Product.category": category("id", "name")},
        },
        "b": {
            "rows": {"Product": products, "Category": _only(categories, "id", "name")},
            "resolvers": {"Product.category": category("id", "name")},
        },
        "c": {"rows": {"Product": products}, "resolvers": {"Product.category": category("details")}},
    }


def _partial_union(data: Any) -> Parts:
    response = {"actions": data["actions"], "message": data["message"]}
    return {
        "a": {"resolvers": {"Query.getResponse": lambda _: response}},
        "b": {},
    }


def _provides_on_interface(data: Any) -> Parts:
    animals, medias = data["animals"], data["medias"]

    def media(*names: str) -> Callable[[Any], Row]:
        def resolve(_: Any) -> Row:
            own = [_by(animals, "id", it) or {} for it in medias[0]["animals"]]
            return {"__typename": "Book", "id": medias[0]["id"], "animals": _only(own, "__typename", *names)}

        return resolve

    def animals_of(*names: str) -> Callable[[Row], list[Row]]:
        return lambda it: media(*names)(it)["animals"]

    books = _only(medias, "__typename", "id")
    ids = {
        kind: _only([it for it in animals if it["__typename"] == kind], "__typename", "id")
        for kind in ("Dog", "Cat")
    }
    whole = {kind: [it for it in animals if it["__typename"] == kind] for kind in ("Dog", "Cat")}
    return {
        "a": {
            "rows": {"Book": books, **ids},
            "resolvers": {
                "Query.media": lambda _: {"__typename": "Book", "id": medias[0]["id"]},
                "Query.book": media("id", "name"),
                "Book.animals": lambda it: it.get("animals") or animals_of("id")(it),
            },
        },
        "b": {"resolvers": {"Query.media": media("id", "name")}},
        "c": {
            "rows": {"Book": books, **whole},
            "resolvers": {"Book.animals": animals_of("id", "name", "age")},
        },
    }


def _requires_circular(data: Any) -> Parts:
    posts, authors = data["posts"], data["authors"]
    return {
        "a": {
            "rows": {"Post": _only(posts, "id"), "Author": authors},
            "resolvers": {
                "Query.feed": lambda _: _only(posts, "id"),
                "Post.byExpert": lambda it: not it["byNovice"],
            },
        },
        "b": {
            "entities": {
                "Post": lambda it: {
                    "__typename": "Post",
                    "id": it["id"],
                    "author": it.get("author") or {"id": (_by(posts, "id", it["id"]) or {})["author"]["id"]},
                },
                "Author": lambda it: {"__typename": "Author", "id": it["id"]},
            },
            "resolvers": {"Post.byNovice": lambda it: it["author"]["yearsOfExperience"] < 10},
        },
    }


def _price_in(it: Row, currency: str) -> int:
    price: int = it["price"]
    return price if currency == "USD" else 2 * price


def _shipping(data: Any) -> Parts:
    """The required price comes in the currency that the requirement names: one in EUR is twice as much."""
    products = data["products"]
    return {
        "a": {
            "rows": {"Product": _only(products, "upc")},
            "resolvers": {
                "Product.shippingEstimate": lambda it: it["price"] * it["weight"] * 10,
                "Product.shippingEstimateEUR": lambda it: it["price"] * it["weight"] * 10,
                "Product.isExpensiveCategory": lambda it: it["category"]["averagePrice"] > 11,
            },
        },
        "b": {
            "rows": {"Product": products},
            "resolvers": {
                "Query.products": lambda _: products,
                "Product.price": _price_in,
                "Category.averagePrice": lambda it, currency: (
                    it["averagePrice"] if currency == "USD" else 2 * it["averagePrice"]
                ),
            },
        },
    }


def _requires_with_argument(data: Any) -> Parts:
    posts, comments, authors = data["posts"], data["comments"], data["authors"]

    def author(it: Row) -> Row | None:
        assert len(it["comments"]) == 3, "the requirement asks for three comments"
        return _by(authors, "id", it["comments"][0]["authorId"])

    def comments_of(it: Row, limit: int) -> list[Row]:
        own = [row for row in comments if row["postId"] == it["id"]]
        return _only(own, "id")[:limit]

    return {
        **_shipping(data),
        "c": {
            "rows": {"Post": _only(posts, "id"), "Comment": comments},
            "resolvers": {"Query.feed": lambda _: _only(posts, "id")},
        },
        "d": {
            "rows": {"Post": _only(posts, "id"), "Comment": _only(comments, "id")},
            "resolvers": {"Post.author": author, "Post.comments": comments_of},
        },
    }


def _shared_root(data: Any) -> Parts:
    product = data["product"]

    def part(name: str) -> dict[str, Any]:
        row = {"id": product["id"], name: product[name]}
        return {"resolvers": {"Query.product": lambda _: row, "Query.products": lambda _: [row]}}

    return {name: part(name) for name in ("category", "name", "price")}


def _simple_inaccessible(data: Any) -> Parts:
    users = data["users"]

    def friends(it: Row, type: str | None = None) -> list[Row]:
        assert type == "FAMILY", "the hidden argument keeps its default"
        return [{"id": key, "type": type} for key in (_by(users, "id", it["id"]) or {})["friends"]]

    return {
        "age": {
            "rows": {"User": _only(users, "id", "age")},
            "resolvers": {"Query.usersInAge": lambda _: _only(users, "id", "age")},
        },
        "friends": {
            "rows": {"User": _only(users, "id")},
            "resolvers": {"Query.usersInFriends": lambda _: _only(users, "id"), "User.friends": friends},
        },
    }


def _simple_override(data: Any) -> Parts:
    posts = data["posts"]
    old = [{"id": it["id"], "createdAt": "NEVER"} for it in posts]
    return {
        "a": {
            "rows": {"Post": old},
            "resolvers": {"Query.feed": lambda _: old, "Query.aFeed": lambda _: old[1:]},
        },
        "b": {
            "rows": {"Post": posts},
            "resolvers": {"Query.feed": lambda _: posts, "Query.bFeed": lambda _: posts[:1]},
        },
    }


def _unavailable_override(data: Any) -> Parts:
    posts = data["posts"]
    return {
        name: {
            "rows": {"Post": posts},
            "resolvers": {"Query.feed": lambda _: posts, f"Query.{name}Feed": lambda _, own=own: own},
        }
        for name, own in (("a", posts[1:]), ("b", posts[:1]))
    }


SUITES: dict[str, Callable[[Any], Parts]] = {
    "nested-provides": _nested_provides,
    "non-resolvable-interface-object": _non_resolvable,
    "override-type-interface": _override_type_interface,
    "parent-entity-call": _parent_entity_call,
    "partial-union": _partial_union,
    "provides-on-interface": _provides_on_interface,
    "requires-circular": _requires_circular,
    "requires-with-argument": _requires_with_argument,
    "requires-with-argument-conflict": _shipping,
    "shared-root": _shared_root,
    "simple-inaccessible": _simple_inaccessible,
    "simple-override": _simple_override,
    "unavailable-override": _unavailable_override,
}
