"""What the platform's own router lets in, and what stands around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.classes import Role
from authz.identity.subject import Subject
from deploy.endpoint import config_of
from deploy.settings import Settings
from deploy.surroundings import surroundings
from router.admission import Safelist, TelemetryConfig, class_of
from router.config import RouterConfig


def test_partners_run_registered_documents_alone_and_read_no_schema(tmp_path: Path) -> None:
    config = config_of(Settings(data_folder=tmp_path))
    found = class_of(Subject("p", roles=frozenset({Role.PARTNER})), config.client_classes)
    assert found is not None
    assert (found[1].safelist, found[1].introspection) == (Safelist.IDS_ONLY, False)
    assert class_of(Subject("a", roles=frozenset({Role.ATHLETE})), config.client_classes) is None
    assert config.introspection_by_caller


def test_nothing_stands_around_a_router_that_asks_for_nothing(tmp_path: Path) -> None:
    around = surroundings(RouterConfig(), Settings(data_folder=tmp_path))
    assert (around.background, around.metrics, around.rates) == ((), (), None)


def test_the_environment_says_where_metrics_and_traces_go_before_the_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STADION_METRICS_ADDRESS", "127.0.0.1:0")
    monkeypatch.setenv("STADION_OTLP_ENDPOINT", "http://collector.invalid:4318")
    told = TelemetryConfig(otlp_endpoint="http://other.invalid", traced_percent=7)
    around = surroundings(RouterConfig(telemetry=told), Settings(data_folder=tmp_path), workers=2)
    try:
        assert around.telemetry.otlp_endpoint == "http://collector.invalid:4318"
        assert around.telemetry.traced_percent == 7
        assert len({it.getsockname()[1] for it in around.metrics}) == 2
        assert len(around.background) == 3  # metrics, stalls, traces
    finally:
        for it in around.metrics:
            it.close()
