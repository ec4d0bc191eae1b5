"""Every labelled reply gets its label."""

from collections import Counter

import pytest

from postloop.domain.bounce import REASONS, classify
from tests.unit.domain.bounce.samples import SAMPLES, Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.reason}: {sample.line}"[:90])
def test_a_reply_means_what_its_label_says(sample: Sample) -> None:
    verdict = classify(sample.bounce)
    assert (verdict.reason, verdict.hard) == (sample.reason, sample.hard), verdict.rule


def test_no_reply_is_written_twice() -> None:
    twice = [line for line, count in Counter(sample.line for sample in SAMPLES).items() if count > 1]
    assert twice == []


def test_there_are_replies_for_every_reason() -> None:
    assert {sample.reason for sample in SAMPLES} == set(REASONS)
