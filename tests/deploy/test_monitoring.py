"""Prometheus finds every part, and the dashboard asks for nothing that they do not tell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import redis
import yaml
from prometheus_client import CollectorRegistry, Metric

import shared.monitoring.metrics
from shared.monitoring.queue_metrics import QueueMetricsCollector
from shared.settings import Settings
from tests.deploy.compose import ROOT, load_services
from worker.consumer import gpus as cards

DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/artdream.json").read_text())
QUERIES = {
    f"{panel['title']}: {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}

#: What Prometheus itself writes beside each series, and the boundary of a bucket.
PROMETHEUS_LABELS = {"instance", "job", "le"}


def load_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def walk_expression(expression: Any) -> Iterator[Any]:
    """Go through all that a query is made of."""
    yield expression
    for name in ("lhs", "rhs", "expr", "args", "vector_selector"):
        found = getattr(expression, name, None)
        for one in found if isinstance(found, list) else [found]:
            if one is not None:
                yield from walk_expression(one)


@pytest.fixture
def exported_metrics(settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """What the code tells, by the name that Prometheus knows it by, with its labels."""
    monkeypatch.setattr(cards, "_query_gpus", lambda: [["0", "1", "2"]])  # a machine with a GPU
    found: dict[str, set[str]] = {}
    for metric in vars(shared.monitoring.metrics).values():
        if hasattr(metric, "_labelnames"):
            [family] = metric.describe()
            for name in list_sample_names(family):
                found[name] = set(metric._labelnames)
    registry = CollectorRegistry()
    for collector in (QueueMetricsCollector(settings), cards.GpuMemoryCollector()):
        registry.register(collector)
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def list_sample_names(family: Metric) -> list[str]:
    ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return [f"{family.name}{end}" for end in ends]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_what_there_is(query: str, exported_metrics: dict[str, set[str]]) -> None:
    tree = list(walk_expression(promql_parser.parse(QUERIES[query])))
    selected = [one for one in tree if isinstance(one, promql_parser.VectorSelector)]
    assert selected
    for one in selected:
        assert one.name in exported_metrics
        assert {matcher.name for matcher in one.matchers.matchers} <= exported_metrics[one.name]
    known = PROMETHEUS_LABELS.union(*(exported_metrics[one.name] for one in selected))
    for one in tree:
        if isinstance(one, promql_parser.AggregateExpr) and one.modifier:
            assert set(one.modifier.labels) <= known


def test_nothing_that_is_told_is_left_out(exported_metrics: dict[str, set[str]]) -> None:
    asked = " ".join(QUERIES.values())
    for name in exported_metrics:
        assert name.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket") in asked


@pytest.mark.parametrize("query", QUERIES)
def test_the_installation_s_own_numbers_are_not_added_up(query: str) -> None:
    """Every part tells the lanes and who is there: the sum would count each job three times."""
    whole = ("artdream_lane_jobs", "artdream_lane_oldest_seconds", "artdream_present", "artdream_broker_up")
    for name in whole:
        for before in QUERIES[query].split(name)[:-1]:
            assert before.endswith(("min(", "max(", "(state) (", "(part, state) (", "(lane, where) ("))
            assert "max by" in before or before.endswith(("min(", "max("))


def test_prometheus_finds_every_part_at_the_port_that_it_serves_on() -> None:
    sought = {
        name: config["port"]
        for job in load_yaml("prometheus.yml")["scrape_configs"]
        for config in job["dns_sd_configs"]
        for name in config["names"]
    }
    served = {
        name: int(port)
        for name, service in load_services().items()
        for key, port in service.get("environment", {}).items()
        if key.endswith("_METRICS_PORT")
    }
    assert sought == served
    for name in sought:
        assert load_services()[name]["environment"]["ARTDREAM_METRICS_HOST"] == "0.0.0.0"
        assert set(load_services()["prometheus"]["networks"]) & set(load_services()[name]["networks"])


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    [source] = load_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert used | {t["datasource"]["uid"] for p in DASHBOARD["panels"] for t in p["targets"]} == {source["uid"]}
    [provider] = load_yaml("grafana/provisioning/dashboards/artdream.yml")["providers"]
    mounted = {volume["target"]: volume["source"] for volume in load_services()["grafana"]["volumes"]}
    assert Path(mounted[provider["options"]["path"]]) == DEPLOY / "grafana/dashboards"
    home = load_services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/artdream.json"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
