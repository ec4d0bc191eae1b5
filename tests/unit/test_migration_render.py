"""Migration files become statements for one node or a cluster."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postloop.adapters import migrations
from postloop.adapters.migration_render import Layout, Migration, MigrationError, render, split_statements
from postloop.adapters.view_windows import WINDOWS

NODE, CLUSTER = Layout(), Layout(cluster="prod")
FILES = migrations.migrations()
# What makes a statement safe to run a second time.
REPEATABLE = re.compile(
    r"CREATE (TABLE|MATERIALIZED VIEW) IF NOT EXISTS |CREATE OR REPLACE VIEW |"
    r"ALTER TABLE \S+( ON CLUSTER `\w+`)?\s+"
    r"(ADD (COLUMN|INDEX|PROJECTION) IF NOT EXISTS|DROP \w+ IF EXISTS|MODIFY|MATERIALIZE INDEX)\s|"
    r"DROP \w+ IF EXISTS "
)
UNREPEATABLE = re.compile(r"\b(ADD (COLUMN|INDEX|PROJECTION) (?!IF NOT EXISTS)|DROP \w+ (?!IF EXISTS))")

sql_pieces = st.sampled_from(
    [
        "SELECT 1",
        "'a;b'",
        "'it''s;'",
        r"'\';'",
        '"x;y"',
        "`a;b`",
        "-- c; d\n",
        "/* e; f */",
        "(1, 2)",
        "\n",
        "AS x",
    ]
)


@given(st.lists(st.lists(sql_pieces, min_size=1).map(" ".join), max_size=6))
def test_semicolons_in_strings_names_and_comments_end_no_statement(statements: list[str]) -> None:
    kept = [text for text in statements if re.sub(r"--[^\n]*|/\*.*?\*/|\s", "", text)]
    found = split_statements(";\n".join(statements))
    assert len(found) == len(kept)
    assert all(text in original for text, original in zip(found, kept, strict=True))


@pytest.mark.parametrize("sql", ["SELECT 'open", "SELECT 1; /* open", 'SELECT "open', "SELECT `open"])
def test_a_quote_or_comment_that_does_not_end_is_refused(sql: str) -> None:
    with pytest.raises(MigrationError, match="does not end"):
        split_statements(sql)


@pytest.mark.parametrize("layout", [NODE, CLUSTER], ids=["node", "cluster"])
@pytest.mark.parametrize("migration", FILES, ids=lambda migration: migration.label)
def test_every_statement_may_run_twice(migration: Migration, layout: Layout) -> None:
    for statement in migration.statements(layout):
        assert REPEATABLE.match(statement), statement.splitlines()[0]
        assert not UNREPEATABLE.search(statement), statement


@pytest.mark.parametrize("layout", [NODE, CLUSTER], ids=["node", "cluster"])
@pytest.mark.parametrize("migration", FILES, ids=lambda migration: migration.label)
def test_no_marker_is_left_over(migration: Migration, layout: Layout) -> None:
    assert not [text for text in migration.statements(layout) if "{{" in text or "}}" in text]


def test_on_a_cluster_every_statement_runs_everywhere_and_every_table_is_replicated() -> None:
    for statement in (text for migration in FILES for text in migration.statements(CLUSTER)):
        head = statement.splitlines()[0]
        assert "ON CLUSTER `prod`" in head, head
        if head.startswith("CREATE TABLE"):
            assert re.search(
                r"ENGINE = (Replicated\w*MergeTree\('/clickhouse/|Distributed\('prod')", statement
            ), head


def test_on_one_node_nothing_speaks_of_clusters() -> None:
    texts = [text for migration in FILES for text in migration.statements(NODE)]
    assert not [text for text in texts if re.search(r"ON CLUSTER|Distributed|Replicated|_all\b", text)]


def test_views_read_all_shards_and_feeds_read_their_own() -> None:
    texts = [text for migration in FILES for text in migration.statements(CLUSTER)]
    views = [text for text in texts if "CREATE OR REPLACE VIEW" in text]
    feeds = [text for text in texts if "MATERIALIZED VIEW" in text]
    assert views
    tables = r"(?:FROM|JOIN) ((?:rollup|blocklist|events|delivery|webhook|reputation)\w*)"
    assert all(re.findall(tables, text) for text in views)
    assert all(name.endswith("_all") for text in views for name in re.findall(tables, text))
    assert len(feeds) == 2
    assert all(re.search(r"FROM events\n", text) for text in feeds)


@pytest.mark.parametrize(
    ("engine", "on_cluster"),
    [
        ("MergeTree", "ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"),
        (
            "ReplacingMergeTree(at)",
            "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', at)",
        ),
    ],
)
def test_engines_are_replicated_on_a_cluster(engine: str, on_cluster: str) -> None:
    assert render(f"{{{{engine {engine}}}}}", parts={}, layout=NODE) == engine
    assert render(f"{{{{engine {engine}}}}}", parts={}, layout=CLUSTER) == on_cluster


def test_a_table_for_every_node_has_one_path_and_a_name_per_node() -> None:
    engine = CLUSTER.engine_everywhere("ReplacingMergeTree(at)")
    path = "/clickhouse/tables/all/{database}/{table}"
    assert engine == f"ReplicatedReplacingMergeTree('{path}', '{{shard}}-{{replica}}', at)"
    assert NODE.engine_everywhere("ReplacingMergeTree(at)") == "ReplacingMergeTree(at)"


def test_a_view_and_its_twin_differ_in_the_instant_only() -> None:
    views = {
        text.split()[4]: text.split("\nAS\n", 1)[1]
        for text in FILES[1].statements(NODE)
        if not text.startswith("CREATE OR REPLACE VIEW v_freshness")
    }
    plain = [name for name in views if not name.endswith("_at")]
    assert len(plain) == 5
    for name in plain:
        assert views[name].replace("now64(3, 'UTC')", "{as_of:DateTime64(3,'UTC')}") == views[f"{name}_at"]


def test_every_windowed_view_has_every_window_once() -> None:
    for text in FILES[1].statements(NODE):
        if "v_freshness" not in text and "v_ip_pool" not in text:
            assert [text.count(f"'{window.name}' AS `window`") for window in WINDOWS] == [1, 1, 1, 1]


def test_unknown_markers_and_parts_are_refused() -> None:
    with pytest.raises(MigrationError, match="unknown marker"):
        render("{{nonsense}}", parts={}, layout=NODE)
    with pytest.raises(MigrationError, match=r"v_absent\.sql\.part"):
        render("{{windowed_view v_absent}}", parts={}, layout=NODE)


def test_a_checksum_covers_the_file_and_the_parts_it_uses_and_no_others() -> None:
    parts = {"v_one": "{{each_window}}\n{{pool_sums}}\n{{end}}", "pool_sums": "sum(a)", "v_other": "x"}
    text = "{{windowed_view v_one}}"
    checksum = Migration(1, "one", text, parts).checksum
    assert Migration(1, "one", text, {**parts, "v_other": "y"}).checksum == checksum
    assert Migration(1, "one", text, {**parts, "v_one": "y"}).checksum != checksum
    assert Migration(1, "one", text, {**parts, "pool_sums": "sum(b)"}).checksum != checksum
    assert Migration(1, "one", text + " ", parts).checksum != checksum
