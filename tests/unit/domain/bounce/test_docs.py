"""docs/bounces.md says what the code does."""

import re
from pathlib import Path

from postloop.domain.bounce import FACTS
from postloop.domain.bounce.confidence import _OF_LAYER, _TEXT, _TEXT_AND_STATUS
from postloop.domain.bounce.rule_files import LATE_FILES, TEXT_FILES
from postloop.domain.bounce.text import MAX_HEAD, MAX_TAIL

PAGE = (Path(__file__).parents[4] / "docs" / "bounces.md").read_text(encoding="utf-8")


def test_the_table_of_reasons_is_that_of_the_code() -> None:
    rows = [
        f"| `{reason}` | {'can be' if facts.can_be_hard else 'never'} | {facts.fault} | {facts.meaning} |"
        for reason, facts in FACTS.items()
    ]
    assert "\n".join(rows) in PAGE


def test_the_order_of_the_rule_files_is_that_of_the_code() -> None:
    for names in (TEXT_FILES, LATE_FILES):
        assert re.search(r",\s+".join(f"`{name}`" for name in names), PAGE)


def test_the_bounds_and_confidences_are_those_of_the_code() -> None:
    assert f"first {MAX_HEAD:,} and last {MAX_TAIL:,} characters" in " ".join(PAGE.split())
    text = re.search(r"`confidence` is the share(.*?)\n\n", PAGE, re.DOTALL)
    assert text is not None
    said = {float(number) for number in re.findall(r"\b0\.\d+", text[1])}
    assert said == {_TEXT, _TEXT_AND_STATUS, *_OF_LAYER.values()}
