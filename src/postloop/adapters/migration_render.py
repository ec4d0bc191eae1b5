"""Turn a migration file into statements for one ClickHouse node or for a cluster.

Files hold ClickHouse SQL with markers in double braces. The same file serves both layouts, and the plain and
the `_at` form of a view come from one text, so that neither pair can drift apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from postloop.adapters.view_windows import NOW, WINDOWS, Window, window_of
from postloop.domain.errors import PostloopError

# Windows of deduplication: inserts are counted over all partitions, so the window is far above the number of
# inserts between a crash and its repair; a replicated table also forgets by age (default 1 h: a long lunch).
DEDUP_INSERTS: Final = 100_000
DEDUP_SECONDS: Final = 604_800

_MARKER = re.compile(r"\{\{(\w+)(?: ([^{}]*))?\}\}")
_EACH_WINDOW = re.compile(r"\{\{each_window\}\}\n(.*?)\n\{\{end\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/"""
    r"""|'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*"|`(?:\\.|``|[^`\\])*`"""
    r"""|(?P<end>;)|(?P<open>['"`]|/\*)""",
    re.DOTALL,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
# Views read their tables with the rights of whoever migrated: a reader needs rights on the views only.
_VIEW_RIGHTS: Final = "DEFINER = CURRENT_USER SQL SECURITY DEFINER"
# Parts that stand in a text as they are.
_PLAIN_PARTS: Final = ("pool_sums", "verdict_columns", "bounce_dimensions", "cohort_dimensions", "blocks_now")
# What the rollups counted since each migration that changed it, and count now.
_ROLLUP_SELECTS: Final = ("rollup_select", "rollup_select_v2", "rollup_select_v3")
_CURRENT_SELECT: Final = _ROLLUP_SELECTS[-1]
_AS_OF: Final = "{as_of:DateTime64(3,'UTC')}"


class MigrationError(PostloopError):
    """The migrations and the database do not fit together, or a migration file is malformed."""


@dataclass(frozen=True)
class Layout:
    """Where the tables live: on one node (`cluster` empty) or on every node of a named cluster."""

    cluster: str = ""

    @property
    def on_cluster(self) -> str:
        """The clause behind the name of a table, with its leading space."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    def readable(self, table: str) -> str:
        """Return the name to read a whole table by: on a cluster the Distributed table over all shards."""
        return f"{table}_all" if self.cluster else table

    def engine(self, engine: str) -> str:
        """Return the engine clause for an engine like `MergeTree` or `ReplacingMergeTree(at)`."""
        name, _, arguments = engine.rstrip(")").partition("(")
        if not self.cluster:
            return f"{name}({arguments})" if arguments else name
        places = ["'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'"]
        return f"Replicated{name}({', '.join(places + ([arguments] if arguments else []))})"

    def engine_everywhere(self, engine: str) -> str:
        """Return the engine clause of a table that is the same on every node, whatever its shard."""
        everywhere = self.engine(engine).replace("/{shard}/", "/all/")
        return everywhere.replace("'{replica}'", "'{shard}-{replica}'")

    def dedup_settings(self) -> str:
        """Return the table settings that bound the memory of insert tokens."""
        if not self.cluster:
            return f"non_replicated_deduplication_window = {DEDUP_INSERTS}"
        return (
            f"replicated_deduplication_window = {DEDUP_INSERTS}, "
            f"replicated_deduplication_window_seconds = {DEDUP_SECONDS}"
        )

    def distributed(self, table: str, sharding_key: str) -> str:
        """Return the statement for the table over all shards, nothing on one node."""
        if not self.cluster:
            return ""
        return (
            f"CREATE TABLE IF NOT EXISTS {table}_all{self.on_cluster} AS {table}\n"
            f"ENGINE = Distributed('{self.cluster}', currentDatabase(), '{table}', {sharding_key});"
        )

    def alter_distributed(self, table: str, change: str) -> str:
        """Return the statement that changes the table over all shards, nothing on one node."""
        return f"ALTER TABLE {table}_all{self.on_cluster}\n    {change};" if self.cluster else ""


@dataclass(frozen=True)
class Migration:
    """One numbered file with the parts that it uses, unrendered."""

    version: int
    name: str
    text: str
    parts: Mapping[str, str]

    @property
    def label(self) -> str:
        """The number and name as in the file name: `0002_views`."""
        return f"{self.version:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        """SHA-256 over the unrendered text and the parts it uses: the same on every layout."""
        digest = hashlib.sha256(self.text.encode())
        for part in _parts_used(self.text, self.parts):
            digest.update(b"\0" + part.encode() + b"\0" + self.parts[part].encode())
        return digest.hexdigest()

    def statements(self, layout: Layout) -> list[str]:
        """Return the statements to run, in order.

        Raises:
            MigrationError: A marker or part is unknown, or a quote or comment does not end.
        """
        return split_statements(render(self.text, parts=self.parts, layout=layout))


def render(text: str, *, parts: Mapping[str, str], layout: Layout) -> str:
    """Return the SQL with every marker replaced.

    Raises:
        MigrationError: A marker or part is unknown.
    """
    simple: dict[str, Callable[[str], str]] = {
        "on_cluster": lambda _: layout.on_cluster,
        "engine": layout.engine,
        "engine_everywhere": layout.engine_everywhere,
        "dedup_settings": lambda _: layout.dedup_settings(),
        "distributed": lambda argument: layout.distributed(*argument.split(" ", 1)),
        "alter_distributed": lambda argument: _alter_distributed(argument, parts=parts, layout=layout),
        "all": layout.readable,
        **{name: partial(_rollup_select, name, parts) for name in _ROLLUP_SELECTS},
        "windowed_view": lambda argument: _windowed_view(argument, parts=parts, layout=layout),
        "view_rights": lambda _: _VIEW_RIGHTS,
        "count": lambda column: f"toUInt64(greatest(sum(r.{column}), 0)) AS {column}",
        "rate": _rate,
        "bin_percentile": _bin_percentile,
        **{name: partial(_plain_part, name, parts) for name in _PLAIN_PARTS},
    }

    def replaced(match: re.Match[str]) -> str:
        if match[1] not in simple:
            raise MigrationError(f"unknown marker in a migration: {match[0]}")
        return simple[match[1]](match[2] or "")

    return _MARKER.sub(replaced, text)


def rollup_select(bucket_function: str, *, source: str, parts: Mapping[str, str]) -> str:
    """Return the query that counts `source` into rollup rows, by buckets of toStartOfMinute or toStartOfHour.

    Feeds and repairs use this one text, so that a repair cannot count otherwise than the feed.
    """
    return _rollup_select(_CURRENT_SELECT, parts, bucket_function, source=source)


def _rollup_select(
    part: str, parts: Mapping[str, str], bucket_function: str, *, source: str = "events"
) -> str:
    select = _part(part, parts).strip()
    return select.replace("{{bucket_function}}", bucket_function).replace("{{source}}", source)


def split_statements(sql: str) -> list[str]:
    """Return the statements between semicolons, respecting strings, quoted names and comments.

    Stretches of nothing but comments are no statements.

    Raises:
        MigrationError: A quote or comment does not end.
    """
    statements, start = [], 0
    for token in _TOKEN.finditer(sql):
        if token["open"]:
            line = sql.count("\n", 0, token.start()) + 1
            raise MigrationError(f"the {token['open']} that begins in line {line} does not end")
        if token["end"]:
            statements.append(sql[start : token.start()])
            start = token.end()
    statements.append(sql[start:])
    return [bare for bare in (_without_leading_comments(statement) for statement in statements) if bare]


def _without_leading_comments(statement: str) -> str:
    match = _COMMENTS.match(statement)
    return statement[match.end() if match else 0 :].strip()


def _alter_distributed(argument: str, *, parts: Mapping[str, str], layout: Layout) -> str:
    table, change = argument.split(" ")
    return layout.alter_distributed(table, _part(change, parts).strip())


def _plain_part(name: str, parts: Mapping[str, str], _: str) -> str:
    return _part(name, parts).strip()


def _windowed_view(argument: str, *, parts: Mapping[str, str], layout: Layout) -> str:
    """Return the statements for a view and its twin; a second word names the part with its text."""
    name, *other = argument.split(" ")
    body = _part(other[0] if other else name, parts).strip()
    forms = {name: NOW, f"{name}_at": _AS_OF}
    statements = (
        f"CREATE OR REPLACE VIEW {view}{layout.on_cluster}\n{_VIEW_RIGHTS}\n"
        f"AS\n{_per_window(body, as_of, layout)};"
        for view, as_of in forms.items()
    )
    return render("\n\n".join(statements), parts=parts, layout=layout)


def view_select(part: str, window: str, *, parts: Mapping[str, str], layout: Layout) -> str:
    """Return the query of a windowed view for one of its windows alone, ending now, by the part with its text.

    A server takes some 60 ms to prepare a view with all its windows, whatever is asked of it.
    """
    body = _per_window(_part(part, parts).strip(), NOW, layout, windows=[window_of(window)])
    return render(body, parts=parts, layout=layout)


def _per_window(body: str, as_of: str, layout: Layout, *, windows: Sequence[Window] = WINDOWS) -> str:
    """Repeat the blocks between each_window and end for every window, then replace the other markers."""

    def repeated(match: re.Match[str]) -> str:
        return "\n    UNION ALL\n".join(
            match[1]
            .replace("{{window}}", f"'{window.name}'")
            .replace("{{rollup}}", layout.readable(window.rollup))
            .replace("{{in_window}}", window.condition(as_of))
            .replace("{{occurred_in_window}}", window.occurred(as_of))
            .replace("{{begin}}", window.ends(as_of)[0])
            .replace("{{until}}", window.ends(as_of)[1])
            for window in windows
        )

    return _EACH_WINDOW.sub(repeated, body)


def _rate(argument: str) -> str:
    above, below = argument.split(" / ")
    return f"if({below} > 0, least(1., {above} / {below}), NULL)"


def _bin_percentile(percent: str) -> str:
    """Return seconds at a nearest-rank percentile of the sorted arrays `bins` and `reached` (rows so far).

    It is the middle of the bin that holds the row of that rank, so off by at most 2^(1/32) - 1 = 2.2 %. Bin 0
    holds 0 and 1 ms.
    """
    rank = f"intDiv(delivered_count * {int(percent)} + 99, 100)"
    return f"exp2((bins[arrayFirstIndex(rows -> rows >= {rank}, reached)] - 0.5) / 16) / 1000"


def _part(name: str, parts: Mapping[str, str]) -> str:
    if name not in parts:
        raise MigrationError(f"a migration uses a part that does not exist: {name}.sql.part")
    return parts[name]


def _parts_used(text: str, parts: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that a text uses, directly or through another part, in order of use."""
    used: list[str] = []
    for marker in _MARKER.finditer(text):
        name = marker[2].split(" ")[-1] if marker[1] == "windowed_view" else marker[1]
        if name in parts and name not in used:
            used += [name, *(inner for inner in _parts_used(parts[name], parts) if inner not in used)]
    return used
