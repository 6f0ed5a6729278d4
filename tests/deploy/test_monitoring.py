"""Prometheus scrapes every component, and the dashboard queries exactly the metrics that the components export."""

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
from worker.consumer import gpus

DEPLOY = ROOT / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/artdream.json").read_text())
QUERIES = {
    f"{panel['title']}: {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}

#: Labels that Prometheus adds to each series, and the upper bound of a histogram bucket.
PROMETHEUS_LABELS = {"instance", "job", "le"}


def load_yaml(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def walk_expression(expression: Any) -> Iterator[Any]:
    """Yield an expression of a query and all its parts."""
    yield expression
    for name in ("lhs", "rhs", "expr", "args", "vector_selector"):
        children = getattr(expression, name, None)
        for child in children if isinstance(children, list) else [children]:
            if child is not None:
                yield from walk_expression(child)


@pytest.fixture
def exported_metrics(settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The labels of all exported metrics, by sample name."""
    monkeypatch.setattr(gpus, "_query_gpus", lambda: [["0", "1", "2"]])  # a machine with a GPU
    labels: dict[str, set[str]] = {}
    for metric in vars(shared.monitoring.metrics).values():
        if hasattr(metric, "_labelnames"):
            [family] = metric.describe()
            for name in list_sample_names(family):
                labels[name] = set(metric._labelnames)
    registry = CollectorRegistry()
    for collector in (QueueMetricsCollector(settings), gpus.GpuMemoryCollector()):
        registry.register(collector)
    for family in registry.collect():
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def list_sample_names(family: Metric) -> list[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return [f"{family.name}{suffix}" for suffix in suffixes]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_what_there_is(query: str, exported_metrics: dict[str, set[str]]) -> None:
    tree = list(walk_expression(promql_parser.parse(QUERIES[query])))
    selectors = [node for node in tree if isinstance(node, promql_parser.VectorSelector)]
    assert selectors
    for selector in selectors:
        assert selector.name in exported_metrics
        assert {matcher.name for matcher in selector.matchers.matchers} <= exported_metrics[selector.name]
    known_labels = PROMETHEUS_LABELS.union(*(exported_metrics[selector.name or ""] for selector in selectors))
    for node in tree:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            assert set(node.modifier.labels) <= known_labels


def test_nothing_that_is_told_is_left_out(exported_metrics: dict[str, set[str]]) -> None:
    all_queries = " ".join(QUERIES.values())
    for name in exported_metrics:
        assert name.removesuffix("_sum").removesuffix("_count").removesuffix("_bucket") in all_queries


@pytest.mark.parametrize("query", QUERIES)
def test_the_installation_s_own_numbers_are_not_added_up(query: str) -> None:
    """Every component exports lanes and heartbeats: a sum would count each job three times."""
    installation_metrics = (
        "artdream_lane_jobs",
        "artdream_lane_oldest_seconds",
        "artdream_present",
        "artdream_broker_up",
    )
    for name in installation_metrics:
        for prefix in QUERIES[query].split(name)[:-1]:
            assert prefix.endswith(("min(", "max(", "(state) (", "(part, state) (", "(lane, where) ("))
            assert "max by" in prefix or prefix.endswith(("min(", "max("))


def test_prometheus_finds_every_part_at_the_port_that_it_serves_on() -> None:
    scraped = {
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
    assert scraped == served
    for name in scraped:
        assert load_services()[name]["environment"]["ARTDREAM_METRICS_HOST"] == "0.0.0.0"
        assert set(load_services()["prometheus"]["networks"]) & set(load_services()[name]["networks"])


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    [source] = load_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    panel_sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert panel_sources | {
        target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]
    } == {source["uid"]}
    [provider] = load_yaml("grafana/provisioning/dashboards/artdream.yml")["providers"]
    mounted = {volume["target"]: volume["source"] for volume in load_services()["grafana"]["volumes"]}
    assert Path(mounted[provider["options"]["path"]]) == DEPLOY / "grafana/dashboards"
    home_dashboard = load_services()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home_dashboard == f"{provider['options']['path']}/artdream.json"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
