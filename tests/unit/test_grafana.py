"""Dashboards and provisioning are files that Grafana loads, and they ask nothing but the views."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
QUESTIONS = {"health", "open-rate", "bounces", "delivery-time", "blocklist", "webhooks"}
# Schemas of dashboards from Grafana 10 to 13: older ones are migrated in the browser, newer ones not known there.
SCHEMAS = range(38, 43)
PANELS = {"barchart", "stat", "table", "timeseries"}
COLUMNS = 24
every_dashboard = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def dashboard(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def targets(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in document["panels"] for target in panel["targets"]]


def test_there_is_one_dashboard_a_question() -> None:
    assert {file.stem for file in FILES} == QUESTIONS
    uids = [dashboard(file)["uid"] for file in FILES]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)


@every_dashboard
def test_a_dashboard_has_what_grafana_wants_of_one(file: Path) -> None:
    document = dashboard(file)
    assert document["schemaVersion"] in SCHEMAS
    assert "id" not in document  # of one installation
    assert document["title"]
    assert {"from", "to"} <= document["time"].keys()
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)
    assert {panel["type"] for panel in document["panels"]} <= PANELS


@every_dashboard
def test_panels_lie_on_the_grid_and_not_on_each_other(file: Path) -> None:
    places = [panel["gridPos"] for panel in dashboard(file)["panels"]]
    for place in places:
        assert place["x"] >= 0 and place["x"] + place["w"] <= COLUMNS
    for a, b in combinations(places, 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (a, b)


@every_dashboard
def test_every_query_goes_to_the_data_source_that_the_reader_chose(file: Path) -> None:
    document = dashboard(file)
    chosen = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
    asked = [panel["datasource"] for panel in document["panels"]]
    asked += [target["datasource"] for target in targets(document)]
    assert all(source == chosen for source in asked)
    (variable,) = [v for v in document["templating"]["list"] if v["type"] == "datasource"]
    assert (variable["name"], variable["query"]) == ("datasource", chosen["type"])


@every_dashboard
def test_a_query_reads_views_only_and_uses_variables_that_there_are(file: Path) -> None:
    document = dashboard(file)
    known = {variable["name"] for variable in document["templating"]["list"]} | {"__from", "__to"}
    for target in targets(document):
        sources = re.findall(r"\b(?:FROM|JOIN)\s+([\w.]+)", target["rawSql"])
        assert sources
        assert all(source.startswith("v_") for source in sources), target["rawSql"]
        assert set(re.findall(r"\$\{(\w+)", target["rawSql"])) <= known
        assert target["format"] == (0 if target["queryType"] == "timeseries" else 1)


def test_provisioning_names_the_data_source_and_the_directory_that_compose_mounts() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/postloop.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/postloop.yaml").read_text())["providers"]
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])

    assert source["type"] == "grafana-clickhouse-datasource"
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]
    used = re.findall(r"\$(\w+)", json.dumps(source))
    assert set(used) <= service["environment"].keys()
