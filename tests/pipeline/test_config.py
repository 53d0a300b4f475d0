"""Settings are read strictly: a typing error never becomes a silent default."""

from __future__ import annotations

import pytest

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
    ],
)
def test_a_wrong_setting_is_named(settings, said) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config(settings)
    assert str(raised.value) == said
