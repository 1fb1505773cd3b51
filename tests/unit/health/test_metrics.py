"""What Prometheus reads: its own parser judges, and every figure is found again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from appliance.health.metrics import COUNTED, HELD, STATES, exposition
from appliance.health.reports import RemoteReport
from appliance.health.verdict import Verdict
from appliance.panel.metrics import Endpoint, routes
from tests.panel.verdicts import NAMES, service, verdict

NOW = 2e9


def scraped(of: Verdict) -> dict[str, Metric]:
    families = list(text_string_to_metric_families(exposition(of, NOW)))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    return {family.name: family for family in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    (found,) = (one for one in families[name].samples if one.labels == labels)
    return float(found.value)


@pytest.mark.parametrize("name", NAMES)
def test_one_state_is_told_and_no_other(name: str) -> None:
    families = scraped(verdict(name))
    states = {one.labels["state"]: one.value for one in families["netty_state"].samples}
    assert states == {one: float(one == name) for one in STATES}
    assert value(families, "netty_service_up") == (verdict(name).service is not None)


def test_every_figure_of_the_report_is_there() -> None:
    counts = {name: 1000 + number for number, name in enumerate(HELD)}
    counters = {name: 10 + number for number, name in enumerate(COUNTED)}
    told = replace(service(), counts=counts, counters=counters)
    families = scraped(replace(verdict("working"), service=told))
    for name, (metric, _) in HELD.items():
        assert value(families, f"netty_{metric}") == counts[name]
    for name, (metric, _) in COUNTED.items():
        family = families[f"netty_{metric.removesuffix('_total')}"]
        assert (family.type, family.samples[0].value) == ("counter", counters[name])
    assert told.space is not None
    assert value(families, "netty_space_free_bytes") == told.space.free
    assert value(families, "netty_settings_revision") == 3
    assert value(families, "netty_build_info", version="0.1.0") == 1


def test_remotes_up_down_and_never_asked() -> None:
    remotes = (
        RemoteReport("up", NOW - 90.5),
        RemoteReport("down", NOW - 900, NOW - 1, "nothing answers on that port"),
        RemoteReport("never up", None, NOW - 1, "nothing answers on that port"),
        RemoteReport("new"),
        RemoteReport("of the future", NOW + 10),
    )
    told = replace(verdict("working"), service=replace(service(), remotes=remotes))
    families = scraped(told)
    up = {one.labels["remote"]: one.value for one in families["netty_remote_up"].samples}
    assert up == {"up": 1, "down": 0, "never up": 0, "of the future": 1}
    ages = families["netty_remote_answered_seconds_ago"].samples
    assert {one.labels["remote"]: one.value for one in ages} == {
        "up": 90.5,
        "down": 900,
        "of the future": 0,
    }


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_any_name_of_a_remote_comes_back(name: str) -> None:
    told = replace(service(), remotes=(RemoteReport(name, NOW),))
    families = scraped(replace(verdict("working"), service=told))
    # The parser itself reads lines where Python sees them.
    if len(name.splitlines()) <= 1 and name.strip() == name:
        assert value(families, "netty_remote_up", remote=name) == 1


def test_the_route_is_guarded_and_says_its_version() -> None:
    guards: list[Endpoint] = []

    def guard(endpoint: Endpoint) -> Endpoint:
        guards.append(endpoint)
        return endpoint

    app = Starlette(routes=routes(lambda: verdict("fault"), guard))
    assert len(guards) == 1
    answer = TestClient(app).get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'netty_state{state="fault"} 1\n' in answer.text
