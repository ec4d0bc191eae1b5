"""Every query of every dashboard runs on the real engine and gives the columns that its panel draws."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.test_clickhouse_docs import AS_OF
from tests.integration.test_clickhouse_docs import db as filled  # noqa: F401 - a fixture
from tests.support.database import Database
from tests.unit.test_grafana import FILES

PANELS = [(file.stem, panel) for file in FILES for panel in json.loads(file.read_text("utf-8"))["panels"]]
# The data set of the documentation has no webhooks and no verdicts by provider.
EMPTY = {"Low or bad with one mailbox provider"}
FROM, TO = AS_OF - timedelta(days=7), AS_OF


def expanded(sql: str) -> str:
    """Return a query as the data source sends it: its macros and Grafana's variables replaced."""
    begin, end = int(FROM.timestamp()), int(TO.timestamp())
    sql = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 >= toDateTime({begin}) AND \1 <= toDateTime({end})", sql)
    sql = re.sub(
        r"\$__timeInterval\(([^)]+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 3600 second)", sql
    )
    values = {"__from": begin * 1000, "__to": end * 1000}
    values |= {"account:sqlstring": "'%'", "domain:sqlstring": "'%'", "window:sqlstring": "'30d'"}
    for name, value in values.items():
        sql = sql.replace(f"${{{name}}}", str(value))
    assert "$" not in sql
    return sql


@pytest.mark.parametrize(("stem", "panel"), PANELS, ids=[f"{s}: {p['title']}" for s, p in PANELS])
def test_a_panel_finds_what_it_draws(filled: Database, stem: str, panel: dict[str, Any]) -> None:  # noqa: F811
    (target,) = panel["targets"]
    query = expanded(target["rawSql"])
    described = filled.client.query(f"DESCRIBE ({query})").result_rows

    names = [row[0] for row in described]
    assert len(set(names)) == len(names)
    if panel["type"] == "timeseries":
        assert names[0] == "time"
        assert described[0][1].startswith("DateTime")
    if panel["type"] == "barchart":
        assert panel["options"]["xField"] in names
    rows = filled.client.query(query).result_rows
    if panel["type"] == "stat":
        assert len(rows) == 1
    if stem != "webhooks" and panel["title"] not in EMPTY:
        assert rows
