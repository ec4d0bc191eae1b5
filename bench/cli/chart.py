"""`python -m bench chart`: bars of a result as SVG or PNG."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Annotated, Final

import typer

from bench.bars import read_chart
from bench.cli.common import out, stop, workplace
from bench.environments import CACHE, interpreter
from bench.stack import clean_environment
from postloop.domain.errors import PostloopError

_ENVIRONMENT: Final = "chart"
_SUFFIXES: Final = (".svg", ".png")


def register(app: typer.Typer) -> None:
    """Add `chart`."""
    app.command()(chart)


def chart(
    result: Annotated[Path, typer.Argument(help="What `bench run --json` wrote.")],
    picture: Annotated[Path, typer.Argument(metavar="OUT", help="An .svg or .png file.")],
) -> None:
    """Draw events/s by variant, with the smallest and the largest: python -m bench chart result.json chart.svg"""
    if picture.suffix not in _SUFFIXES:
        raise stop(f"{picture} is neither an .svg nor a .png file", code=2)
    try:
        read_chart(result)  # what cannot be drawn is told before an environment is made
    except PostloopError as error:
        raise stop(str(error), code=2) from None
    with workplace() as place:
        place.bar.add_task(f"environment of {_ENVIRONMENT}", total=None)
        try:
            python = interpreter(_ENVIRONMENT)
        except PostloopError as error:
            raise stop(str(error), code=3) from None
    done = subprocess.run(
        [str(python), "-m", "bench.draw", str(result), str(picture)],
        env=clean_environment() | {"MPLCONFIGDIR": str(CACHE / "matplotlib")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise stop(
            f"the chart was not drawn: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}", code=1
        )
    out.print(f"drawn: {picture}", highlight=False, markup=False, soft_wrap=True)
