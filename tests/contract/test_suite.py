"""The tests are there: a module that was emptied by accident would pass for ever."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_module_of_tests_has_a_test() -> None:
    modules = list(TESTS.rglob("test_*.py"))
    without = [
        module.name
        for module in modules
        if not re.search(
            r"^ *(async )?def test_|^class \w+\(RuleBasedStateMachine\)", module.read_text(), re.MULTILINE
        )
    ]
    assert modules and without == []
