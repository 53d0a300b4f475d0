"""Response keys of the planner's own fields: shared with the client's where that is the same field."""

from __future__ import annotations

from graphql import parse_value

from router.operation.model import Argument, NormalField
from router.planner.response_keys import ResponseKeys


def asked(key: str, name: str, currency: str = "") -> NormalField:
    arguments = (Argument("currency", parse_value(currency)),) if currency else ()
    return NormalField(key, name, "Good", arguments)


def keys_beside(*fields: NormalField) -> ResponseKeys:
    keys = ResponseKeys()
    keys.take([NormalField("goods", "goods", "Query", selections=fields)])
    return keys


def test_a_field_goes_by_its_name_where_the_name_is_free_or_the_same_field() -> None:
    assert keys_beside().own("id", "") == "id"
    assert keys_beside(asked("id", "id")).own("id", "") == "id"


def test_a_name_that_the_client_gave_to_something_else_is_not_ours() -> None:
    assert keys_beside(asked("id", "name")).own("id", "") == "_id_0"
    assert keys_beside(asked("id", "name"), asked("id", "id")).own("id", "") == "_id_0"


def test_the_same_arguments_share_the_clients_key_and_others_do_not() -> None:
    keys = keys_beside(asked("price", "price", '"USD"'))
    assert keys.own("price", '(currency: "USD")') == "price"
    assert keys.own("price", '(currency: "CHF")') == "_price_0"
    assert keys.own("price", "") == "_price_1"
    assert keys_beside(asked("price", "price", "$c")).own("price", '(currency: "USD")') == "_price_0"


def test_the_clients_alias_of_the_same_field_is_shared() -> None:
    assert keys_beside(asked("usd", "price", '"USD"')).own("price", '(currency: "USD")') == "usd"


def test_an_alias_of_ours_is_none_of_the_clients() -> None:
    assert keys_beside(asked("_price_0", "name")).own("price", '(currency: "USD")') == "_price_1"
