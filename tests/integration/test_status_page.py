"""The status page in a real browser: it shows what there is, by itself, and asks nobody else.

Needs Chromium, so `make test` leaves it out; `make test-browser` and .ci/run have it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from postloop.adapters.blocklist_store import BlocklistWriter, LogRow
from postloop.adapters.reputation_store import CurrentRow
from postloop.adapters.reputation_writer import ReputationWriter
from tests.support.api import ApiServer
from tests.support.database import Database, event, migrated_database

pytestmark = pytest.mark.browser

NOW = datetime.now(UTC)
LONG = "a-very-long-name-of-a-sender-domain-that-does-not-fit-on-a-telephone.mail.example"
# Every text that can be seen, against what lies behind it (WCAG 2.2, success criterion 1.4.3).
FAINT = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const pair = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => a - b);
    const contrast = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (contrast < 4.5) found.push(`${element.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
}"""


def chromium() -> str:
    """Return the browser's program; without one the test fails and says what to do."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("POSTLOOP_TEST_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium: apt-get install chromium, or name it in POSTLOOP_TEST_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def database() -> Database:
    made = migrated_database()
    ReputationWriter(made.client, made.settings).write(
        [], [judged(LONG, 12.5, "bad"), judged("ok.example", None, "unknown")]
    )
    BlocklistWriter(made.client).write_log([change("c1", f"anna-{'x' * 60}@gmail.com")])
    return made


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[ApiServer]:
    # Nothing here needs the broker.
    with ApiServer(database.settings.model_copy(update={"kafka_brokers": "127.0.0.1:1"})) as server:
        yield server


def judged(domain: str, score: float | None, grade: str) -> CurrentRow:
    return CurrentRow(
        account_id="acme", sender_domain=domain, mailbox_provider="", owner_hash=0, at=NOW, score=score, grade=grade,
        recommendation="none", outcome_count=600, complaint_rate=0.012, complaint_low=0.01, complaint_high=0.02,
        hard_bounce_rate=None, hard_bounce_low=0, hard_bounce_high=1, refusal_rate=0, refusal_low=0, refusal_high=0.1,
        state="{}",
    )  # fmt: skip


def change(event_id: str, recipient: str) -> LogRow:
    return LogRow(
        event_id=event_id, change="inserted", entry_id="e", scope="global", recipient=recipient, recipient_form="clear",
        mailbox_provider="gmail", reason="user_unknown", cause_account_ids=("acme",), source_event_ids=(), smtp_text="",
        rule="", rule_version="", starts_at=NOW, inserted_at=NOW, expires_at=NOW + timedelta(days=14), cause="",
        at=datetime.now(UTC),
    )  # fmt: skip


@contextmanager
def opened(
    browser: Browser, api: ApiServer, *, key: str = "", width: int = 1280, scheme: str = "light"
) -> Iterator[Page]:
    """Open the page; what it complains about and whom else it asks is an error at the end."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{api.url}/#key={key}" if key else api.url)
    yield page
    assert complaints == []
    assert [url for url in asked if not url.startswith((f"{api.url}/", "data:"))] == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_fits_and_can_be_read(
    browser: Browser, api: ApiServer, database: Database, width: int, scheme: str
) -> None:
    stored_at = datetime.now(UTC) - timedelta(seconds=15)
    rows = (event("delivered", NOW, stored_at=stored_at, sender_domain=LONG) for _ in range(600))
    database.insert(rows, client=database.connect())
    key = api.make_key().text
    with opened(browser, api, key=key, width=width, scheme=scheme) as page:
        page.wait_for_selector("#domains tr")
        page.wait_for_selector("#parts li")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(FAINT) == []
        assert key not in page.url
        assert LONG in page.inner_text("#domains")
        assert "1.20 %" in page.inner_text("#domains")
        assert float(page.inner_text("#rate")) > 0
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("h1").count() == 1


def test_without_a_key_the_page_shows_the_parts_and_no_data(browser: Browser, api: ApiServer) -> None:
    with opened(browser, api) as page:
        page.wait_for_selector("#parts li")
        assert "clickhouse" in page.inner_text("#parts")
        assert page.is_visible("#key-form")
        assert not page.is_visible("#data")


def test_a_key_that_is_typed_in_opens_the_page_until_it_is_forgotten(
    browser: Browser, api: ApiServer
) -> None:
    with opened(browser, api) as page:
        page.fill("#key", api.make_key().text)
        page.click("#key-form button")
        page.wait_for_selector("#domains tr")
        page.click("#forget")
        assert page.is_visible("#key-form")
        page.reload()
        page.wait_for_selector("#parts li")
        assert not page.is_visible("#data")


def test_what_happens_appears_without_a_reload(browser: Browser, api: ApiServer, database: Database) -> None:
    with opened(browser, api, key=api.make_key().text) as page:
        page.wait_for_selector("#changes tr")
        page.evaluate("window.isStillHere = true")
        BlocklistWriter(database.connect()).write_log([change("c2", "just-now@example.org")])
        page.wait_for_selector("#changes >> text=just-now@example.org", timeout=15_000)
        assert page.evaluate("window.isStillHere")


def test_an_accounts_key_is_told_that_it_is_not_enough(browser: Browser, api: ApiServer) -> None:
    key = api.make_key("acme").text
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{api.url}/#key={key}")
    page.wait_for_selector("#key-problem:visible")
    assert "operator" in page.inner_text("#key-problem")
    assert not page.is_visible("#data")
    context.close()


def test_the_documentation_fits_a_telephone(browser: Browser, api: ApiServer) -> None:
    with opened(browser, api, width=360) as page:
        page.goto(f"{api.url}/docs")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(FAINT) == []
