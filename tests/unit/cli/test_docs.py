"""What the documentation says of settings, metrics and topics is what the code does."""

from pathlib import Path

from postloop.adapters.topic_specs import wanted_topics
from postloop.cli import metrics_page, settings_page
from postloop.settings import PREFIX, Settings

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_settings_is_as_the_settings_are() -> None:
    written = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert written == settings_page.page(), "run `python -m postloop.cli.settings_page`"


def test_the_page_of_settings_names_every_setting() -> None:
    page = settings_page.page()
    assert all(f"| `{PREFIX}{name.upper()}` |" in page for name in Settings.model_fields)


def test_the_table_of_metrics_is_as_the_metrics_are() -> None:
    written = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert written == metrics_page.with_table(written), "run `python -m postloop.cli.metrics_page`"


def test_the_table_of_topics_is_as_topics_are_created() -> None:
    written = (DOCS / "kafka.md").read_text(encoding="utf-8")
    for spec in wanted_topics(Settings()):
        cleanup = spec.configs["cleanup.policy"]
        days = f"{int(spec.configs['retention.ms']) // 86_400_000}d" if cleanup == "delete" else "compacted"
        size = f"{int(spec.configs['max.message.bytes']):,} bytes"
        assert f"| `{spec.name}` | {spec.purpose} | {cleanup} | {days} | {size} |" in written
