"""`python -m bench reputation`: false downgrades and days to detect, of Postloop's rule and of fixed ones."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from bench import facts
from bench.cli.common import JsonFile, err, out, write
from bench.reputation import (
    HEALTHY_RATES,
    ILL_RATES,
    RULES,
    SIZES,
    Healthy,
    Ill,
    study_healthy,
    study_ill,
)


def register(app: typer.Typer) -> None:
    """Add `reputation`."""
    app.command()(reputation)


def reputation(
    domains: Annotated[int, typer.Option(min=1, help="Simulated domains for each figure.")] = 50,
    days: Annotated[int, typer.Option(min=1, help="Days for which a healthy domain is followed.")] = 365,
    seed: Annotated[int, typer.Option(help="Of the complaints.")] = 1,
    json_file: JsonFile = None,
) -> None:
    """Study rules on simulated domains whose true complaint rate is known: python -m bench reputation

    Each rule sees the same domains. Rates above a rule's line are no false downgrades, rates below it no illness.
    """
    healthy: list[Healthy] = []
    ill: list[Ill] = []
    for rule in RULES:
        err.print(f"{rule.name} ...", highlight=False)
        for sends in SIZES:
            healthy += [
                study_healthy(rule, sends=sends, true_rate=rate, domains=domains, days=days, seed=seed)
                for rate in HEALTHY_RATES
                if rate <= rule.line_rate
            ]
            ill += [
                study_ill(rule, sends=sends, true_rate=rate, domains=domains * 3, seed=seed)
                for rate in ILL_RATES
            ]
    out.print(healthy_table(healthy))
    out.print(ill_table(ill))
    if json_file:
        write(json_file, {"machine": facts.machine(), "healthy": healthy, "ill": ill})


def healthy_table(found: list[Healthy]) -> Table:
    """Return false downgrades as a table."""
    table = Table(title="Healthy domains: days held down, downgrades a year, domains never harmed")
    for name in ("rule", "sends a day", "true rate", "days down", "downgrades a year", "unharmed"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for row in found:
        table.add_row(
            row.rule,
            f"{row.sends:,}",
            f"{row.true_rate:.2%}",
            f"{row.down_day_rate:.2%}",
            f"{row.downgrades_a_year:.2f}",
            f"{row.unharmed_rate:.0%}",
        )
    return table


def ill_table(found: list[Ill]) -> Table:
    """Return days to detect as a table."""
    table = Table(title="Domains that fall ill: days until they are found")
    for name in ("rule", "sends a day", "true rate", "mean days", "90 % within", "found"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for row in found:
        table.add_row(
            row.rule,
            f"{row.sends:,}",
            f"{row.true_rate:.2%}",
            "never" if row.mean_days is None else f"{row.mean_days:.1f}",
            "never" if row.p90_days is None else f"{row.p90_days:.0f}",
            f"{row.found_rate:.0%}",
        )
    return table
