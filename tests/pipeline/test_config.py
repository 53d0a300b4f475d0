"""Settings are read strictly: a typing error never becomes a silent default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from router.config import ConfigError, RouterConfig, read_config


def test_nothing_set_means_the_defaults() -> None:
    assert read_config({}) == RouterConfig()


def test_settings_reach_their_section() -> None:
    config = read_config(
        {
            "introspection": False,
            "forward_headers": ["x-tenant"],
            "http": {"body_bytes_max": 10},
            "cors": {"origins": ["https://app.example"]},
        }
    )
    assert not config.introspection
    assert config.forward_headers == ("x-tenant",)
    assert config.http.body_bytes_max == 10
    assert config.http.url_bytes_max == RouterConfig().http.url_bytes_max
    assert config.cors.origins == ("https://app.example",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"introspecton": True}, "unknown setting `introspecton`; did you mean `introspection`?"),
        ({"http": {"zzz": 1}}, "unknown setting `http.zzz`; take it out"),
        ({"http": {"body_bytes_max": "2MB"}}, "`http.body_bytes_max` must be a whole number, not `2MB`"),
        ({"http": {"body_bytes_max": True}}, "`http.body_bytes_max` must be a whole number, not `True`"),
        ({"http": {"body_bytes_max": -1}}, "`http.body_bytes_max` must be 0 or more, not `-1`"),
        ({"introspection": 1}, "`introspection` must be true or false, not `1`"),
        ({"forward_headers": "x"}, "`forward_headers` must be a list of texts"),
        ({"http": 3}, "`http` must be a mapping of settings"),
        ([], "`the configuration` must be a mapping of settings"),
        (
            {"cors": {"origins": ["${env.NOWHERE}"]}},
            "`cors.origins`: the environment has no `NOWHERE`; set it",
        ),
        (
            {"demand": {"subgraph_cost_max": {"a": "1"}}},
            "`demand.subgraph_cost_max.a` must be a whole number",
        ),
        ({"demand": {"subgraph_cost_max": 1}}, "must be a mapping from names to whole numbers"),
        ({"client_classes": {"a": {"saflist": "off"}}}, "did you mean `client_classes.a.safelist`?"),
        ({"telemetry": {"metrics_address": "9090"}}, "`telemetry`: `metrics_address` must be `HOST:PORT`"),
        ({"proxies": {"trusted": ["nowhere"]}}, "`proxies`: 'nowhere' does not appear to be an IPv4 or IPv6"),
        ({"tls": {"certificate_file": "a"}}, "`tls`: a certificate needs its key"),
        ({"cors": {"origins": ["${env.TWO WORDS}"]}}, "`cors.origins`: write `${env.NAME}`"),
        ({"cors": {"origins": ["${HOME}"]}}, "`cors.origins`: write `${env.NAME}`"),
        ({"cors": {"origins": ["${env.A:-${env.B}}"]}}, "`cors.origins`: write `${env.NAME}`"),
        ({"forward_headers": ["X-Tenant"]}, "`forward_headers` has names of headers in lower case"),
        ({"trusted_preflight_headers": ["a b"]}, "in lower case, not `a b`"),
        ({"proxies": {"header": "X-Real-Ip"}}, "`proxies`: `header` has names of headers in lower case"),
        ({"streams": {"heartbeat_ms": 0}}, "`streams`: `heartbeat_ms` is 1 or more"),
        ({"request_timeout_ms_max": 0}, "`request_timeout_ms_max` and `subgraph_timeout_ms_max` are 1 or"),
    ],
)
def test_a_wrong_setting_is_named(settings, said) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config(settings)
    assert said in str(raised.value)


def test_the_environment_fills_in_what_a_file_leaves_to_it() -> None:
    settings = {
        "introspection": "${env.INTROSPECTION}",
        "http": {"body_bytes_max": "${env.BODY}", "in_flight_max": "${env.NOT_THERE:-7}"},
        "cors": {"origins": ["https://${env.HOST}", "https://${env.HOST:-x}:8443"]},
        "persisted": {"safelist": "${env.LIST:-ids_only}"},
    }
    environment = {"INTROSPECTION": "false", "BODY": "123", "HOST": "app.example"}
    config = read_config(settings, environment)
    assert config.introspection is False
    assert config.http.body_bytes_max == 123
    assert config.http.in_flight_max == 7
    assert config.cors.origins == ("https://app.example", "https://app.example:8443")
    assert config.persisted.safelist == "ids_only"


def test_a_wrong_value_of_the_environment_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as raised:
        read_config({"http": {"body_bytes_max": "${env.BODY}"}}, {"BODY": "hunter2"})
    assert "`http.body_bytes_max` must be a whole number" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigError) as raised:
        read_config({"demand": {"mode": "${env.MODE}"}}, {"MODE": "hunter2"})
    assert "must be one of off, measure, enforce" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_empty_variable_has_its_default_and_what_a_variable_holds_is_not_looked_into() -> None:
    settings = {"cors": {"origins": ["${env.EMPTY:-x}", "${env.EMPTY}", "${env.ODD}"]}}
    config = read_config(settings, {"EMPTY": "", "ODD": "a${env.EMPTY}b"})
    assert config.cors.origins == ("x", "", "a${env.EMPTY}b")


def test_classes_of_clients_and_limits_by_subgraph_are_read() -> None:
    config = read_config(
        {
            "client_classes": {"partner": {"roles": ["partner"], "safelist": "ids_only", "cost_max": 50}},
            "demand": {"mode": "enforce", "subgraph_cost_max": {"all": 5, "medical": 1}},
        }
    )
    assert config.client_classes["partner"].roles == ("partner",)
    assert config.client_classes["partner"].cost_max == 50
    assert config.demand.subgraph_cost_max == {"all": 5, "medical": 1}


def test_the_readmes_example_of_subgraphs_is_good() -> None:
    readme = (Path(__file__).parents[2] / "router" / "README.md").read_text(encoding="utf-8")
    example = readme.split("## Towards subgraphs")[1].split("```yaml\n")[1].split("```")[0]
    traffic = read_config(yaml.safe_load(example)).subgraphs
    assert traffic.of("others").timeout_ms_max == traffic.of("reviews").timeout_ms_max == 5_000
    assert traffic.of("reviews").headers == traffic.all.headers
    assert traffic.of("reviews").cache.enabled
    assert not traffic.all.cache.enabled


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"all": {"headers": [{}]}}, r"`subgraphs\.all\.headers\[0\]`: a header rule is one of"),
        ({"all": {"headers": [{"insert": {"value": "x"}}]}}, "`insert` needs the `name`"),
        ({"all": {"headers": [{"remove": {"matching": "("}}]}}, "is not a regular expression"),
        ({"all": {"headers": [{"propagate": {"named": "a", "matching": "b"}}]}}, "not both"),
        ({"all": {"headers": [{"insert": {"name": "a b"}}]}}, "`a b` is not the name of a header"),
        ({"all": {"headers": [{"insert": {"name": "a", "value": "b\r\nc: d"}}]}}, "one line of printable"),
        (
            {"all": {"headers": [{"insert": {"name": "Content-Length"}}]}},
            "for the router to set",
        ),
        ({"all": {"headers": [{"propagate": {"named": "a", "rename": "host"}}]}}, "for the router to set"),
        ({"all": {"headers": [{"propagate": {"named": "a", "default": "b\n"}}]}}, "one line of printable"),
        ({"by_name": {"a": {"tls": {"key_file": "k"}}}}, "a certificate needs its key"),
        ({"by_name": {"a": {"retries": {}}}}, r"did you mean `subgraphs\.by_name\.a\.retry`"),
        ({"by_name": {"a": 3}}, r"`subgraphs\.by_name` must be a mapping"),
        ({"by_name": {"a": {}}, "all": 3}, r"`subgraphs\.all` must be a mapping"),
        ({"all": {"subscriptions": {"protocol": "callback"}}}, "need `callback_url`"),
    ],
)
def test_settings_of_subgraphs_that_cannot_be_are_told(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_config({"subgraphs": settings})


def test_a_subgraph_has_what_differs_from_all_and_its_rules_after_theirs() -> None:
    first, second = ({"insert": {"name": one, "value": "x"}} for one in ("a", "b"))
    traffic = read_config(
        {
            "subgraphs": {
                "by_name": {"one": {"retry": {"attempts_max": 1}, "headers": [second]}},
                "all": {"timeout_ms_max": 7, "retry": {"pause_ms_base": 3}, "headers": [first]},
            }
        }
    ).subgraphs
    one = traffic.of("one")
    assert (one.timeout_ms_max, one.retry.pause_ms_base, one.retry.attempts_max) == (7, 3, 1)
    assert [rule.insert.name for rule in one.headers] == ["a", "b"]
    assert traffic.of("another") is traffic.all
