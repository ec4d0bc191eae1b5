"""The status page in a real browser: it shows what there is, by itself, and asks nobody else.

Needs Chromium, so `make test` leaves it out; `make test-browser` and .ci/run have it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

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
def cut_off(browser: Browser, api: ApiServer, *, key: str = "") -> Iterator[Page]:
    """Open the page in a browser that may complain, as of answers that are no success."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{api.url}/#key={key}" if key else api.url)
    yield page
    context.close()


def away(route: Route) -> None:
    document = {"status": 503, "code": "clickhouse_unavailable", "detail": "ClickHouse cannot be asked."}
    route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(document))


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


def test_what_is_not_known_is_a_dash_and_no_none(browser: Browser, api: ApiServer) -> None:
    with opened(browser, api, key=api.make_key().text) as page:
        row = page.locator("#domains tr", has_text="ok.example")
        row.wait_for()
        score, _, complaints, hard_bounces = (row.locator("td.number").nth(n) for n in range(4))
        for cell in (score, hard_bounces):
            assert cell.inner_text() == "–"
            assert cell.locator("[title='not known']").get_attribute("aria-label") == "not known"
        assert complaints.inner_text() == "1.20 %"
        assert "none" not in row.inner_text()


def test_no_word_of_a_change_is_broken_beside_a_long_address(browser: Browser, api: ApiServer) -> None:
    with opened(browser, api, key=api.make_key().text) as page:
        page.wait_for_selector("#changes tr")
        lines = page.eval_on_selector_all(
            "#changes td.whole > *", "all => all.map(e => e.getClientRects().length)"
        )
        assert len(lines) >= 4 and set(lines) <= {0, 1}


def test_the_time_since_a_topic_was_heard_is_of_storing_where_a_sender_is_ahead(
    browser: Browser, api: ApiServer, database: Database
) -> None:
    stored_at = datetime.now(UTC) - timedelta(minutes=20)
    ahead = datetime.now(UTC) + timedelta(hours=20)
    database.insert([event("complaint", ahead, stored_at=stored_at)], client=database.connect())
    with opened(browser, api, key=api.make_key().text) as page:
        row = page.locator("#topics tr", has_text="email.complaint")
        row.wait_for()
        assert row.locator("td.number").inner_text() in ("20 min ago", "21 min ago")


def test_figures_that_cannot_be_read_any_more_are_said_to_be_old_until_they_are_not(
    browser: Browser, api: ApiServer
) -> None:
    with cut_off(browser, api, key=api.make_key().text) as page:
        page.wait_for_selector("#domains tr")
        page.route("**/v1/status", away)
        page.wait_for_selector("#notice:visible")
        updated = page.inner_text("#updated")
        said = page.inner_text("#notice")
        assert re.fullmatch(r"ClickHouse cannot be asked\. Figures as of \d\d:\d\d UTC\.", said)
        assert page.is_visible("#domains") and page.locator("#data.stale").count() == 1
        assert page.evaluate(FAINT) == []
        page.wait_for_timeout(6_000)
        assert page.inner_text("#updated") == updated, "nothing was updated"
        page.unroute("**/v1/status")
        page.wait_for_selector("#notice", state="hidden")
        assert page.locator("#data.stale").count() == 0


def test_figures_that_are_waited_for_are_said_to_be_old(browser: Browser, api: ApiServer) -> None:
    with cut_off(browser, api, key=api.make_key().text) as page:
        page.wait_for_selector("#domains tr")
        page.route("**/v1/status", lambda _: None)  # no answer at all
        page.wait_for_selector("#notice:visible", timeout=15_000)
        assert page.inner_text("#notice").startswith("The figures are waited for. Figures as of ")
        assert page.locator("#data.stale").count() == 1
        with page.expect_request("**/health", timeout=10_000):
            pass  # the parts are told meanwhile


@pytest.mark.parametrize("answer", [away, lambda _: None], ids=["refused", "silence"])
def test_a_key_that_is_typed_in_while_nothing_can_be_read_is_answered_at_once(
    browser: Browser, api: ApiServer, answer: Callable[[Route], None]
) -> None:
    with cut_off(browser, api) as page:
        page.route("**/v1/status", answer)
        page.fill("#key", api.make_key().text)
        page.click("#key-form button")
        page.wait_for_selector("#notice:visible", timeout=1_000)
        assert not page.is_visible("#data")
        if answer is away:
            page.wait_for_selector("#notice >> text=ClickHouse cannot be asked.")
        page.unroute("**/v1/status")
        page.wait_for_selector("#domains tr", timeout=40_000)


def test_a_key_that_cannot_be_sent_is_refused_in_a_sentence_and_not_kept(
    browser: Browser, api: ApiServer
) -> None:
    with opened(browser, api) as page:
        page.fill("#key", "plk_ключ")
        page.click("#key-form button")
        page.wait_for_selector("#key-problem:visible")
        assert "no key" in page.inner_text("#key-problem")
        assert page.is_visible("#key-form") and not page.is_visible("#forget")
        assert page.evaluate("sessionStorage.length") == 0
        page.evaluate("sessionStorage.setItem('postloop-key', 'plk_ключ')")
        page.reload()
        page.wait_for_selector("#parts li")
        assert page.is_visible("#key-form")


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
