"""The pages in a real browser, on a real server with real stores."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.app import create_app
from api.context import AppContext
from api.health.service import HealthService
from api.retention.service import RetentionService
from api.worker import Worker
from tests.servers.availability import find_program
from tests.unit.api import fleet

pytestmark = pytest.mark.server("chromium")

CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS_PX = {"desktop": 1440, "phone": 390}
SHORT_MS = 8000


@dataclass
class Site:
    """A running server and what is behind it."""

    context: AppContext
    worker: Worker
    clock: fleet.Clock
    url: str

    def paths(self) -> list[str]:
        customer = next(c for c in RetentionService(self.context).customers() if c.risk)
        machine = HealthService(self.context).machine("acme-press-1")
        assert customer.risk is not None
        assert machine.health is not None
        return [
            "/",
            "/machines/acme-press-1",
            "/proposals",
            "/customers",
            f"/customers/{customer.key}",
            f"/evidence/risk/{customer.risk.id}",
            f"/evidence/health/{machine.health.snapshot_id}",
        ]


@dataclass
class Watched:
    """A page, and everything that went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Presses with health, proposals and risks, served on a free port."""
    now = datetime.now(UTC).replace(microsecond=0)
    clock = fleet.Clock(now)
    with fleet.open_context(tmp_path_factory.mktemp("site"), clock) as context:
        fleet.keep_model(context, fleet.fitted_model())
        fleet.record(context, fleet.business_facts(now))
        fleet.store_samples(
            context,
            fleet.worn("acme-press-1", now, age_h=800.0),
            fleet.worn("calm-press-1", now, age_h=200.0),
        )
        worker = Worker(context)
        worker.run_once()
        with serving(context, worker) as url:
            yield Site(context, worker, clock, url)


@contextmanager
def serving(context: AppContext, worker: Worker | None = None, *, port: int = 0) -> Iterator[str]:
    """Answer on a port until the block ends; address of the server."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(
            create_app(context, worker), log_level="warning", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        context.hub.close()
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=find_program("chromium"), args=CHROMIUM_ARGS
        )
        yield opened
        opened.close()


@pytest.fixture
def open_page(site: Site, browser: Browser) -> Iterator[Callable[..., Watched]]:
    contexts = []

    def opened(path: str, *, width_px: int = 1440, locale: str = "en-GB") -> Watched:
        context = browser.new_context(
            viewport={"width": width_px, "height": 900}, locale=locale, reduced_motion="reduce"
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        page = watched.page
        page.on(
            "console",
            lambda line: watched.errors.append(line.text) if line.type == "error" else None,
        )
        page.on("pageerror", lambda error: watched.errors.append(str(error)))
        page.on(
            "request",
            lambda request: (
                watched.foreign.append(request.url)
                if urlsplit(request.url).netloc not in {urlsplit(site.url).netloc, ""}
                else None
            ),
        )
        page.goto(site.url + path)
        page.wait_for_selector("#connection[data-state=live]", timeout=SHORT_MS)
        return watched

    yield opened
    for context in contexts:
        context.close()


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_every_page_loads_cleanly_and_asks_nobody_else(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    for path in site.paths():
        watched = open_page(path)
        watched.page.wait_for_load_state("load")

        assert watched.page.locator("h1").count() == 1, path
        assert watched.errors == [], path
        assert watched.foreign == [], path


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_no_page_scrolls_sideways_on_a_phone(
    site: Site, open_page: Callable[..., Watched], locale: str
) -> None:
    for path in site.paths():
        page = open_page(path, width_px=WIDTHS_PX["phone"], locale=locale).page

        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS_PX["phone"], path


def test_the_language_is_switched_and_remembered(open_page: Callable[..., Watched]) -> None:
    page = open_page("/customers").page

    page.get_by_role("link", name="简体中文").click()
    page.wait_for_selector("html[lang=zh-Hans]")
    page.get_by_role("link", name="设备群").click()

    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.get_by_role("heading", level=1).inner_text() == "设备群"


def test_charts_are_drawn_and_grow_with_new_samples(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    page = open_page("/machines/acme-press-1").page
    page.wait_for_selector("#charts .uplot canvas", timeout=SHORT_MS)
    # The chart's own number of the newest sample, beside its name.
    latest = page.locator("#chart-vibration_mm_s [data-latest]")
    expect(page.locator("#charts .uplot")).to_have_count(3, timeout=SHORT_MS)
    before = latest.inner_text()

    site.clock.advance(hours=2)
    fleet.store_samples(site.context, fleet.worn("acme-press-1", site.clock(), age_h=804.0))

    expect(latest).not_to_have_text(before, timeout=SHORT_MS)


def test_a_change_of_health_reaches_the_fleet_by_itself(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    watched = open_page("/")
    page = watched.page
    page.evaluate("document.body.dataset.mark = 'not reloaded'")
    before = page.locator("#live").inner_text()

    site.clock.advance(days=3)
    fleet.store_samples(site.context, fleet.worn("acme-press-1", site.clock(), age_h=872.0))
    site.worker.run_once()

    expect(page.locator("#live")).not_to_have_text(before, timeout=SHORT_MS, use_inner_text=True)
    assert page.evaluate("document.body.dataset.mark") == "not reloaded"
    assert watched.errors == []


def test_a_lost_connection_is_shown_and_healed(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    page = open_page("/").page
    context = page.context

    context.set_offline(True)
    page.wait_for_selector("#connection[data-state=lost]", timeout=SHORT_MS)
    shown = page.locator("#connection").inner_text()
    context.set_offline(False)
    page.evaluate("location.reload()")
    page.wait_for_selector("#connection[data-state=live]", timeout=2 * SHORT_MS)

    assert "Connection lost" in shown


def test_a_page_heals_by_itself_when_the_server_comes_back(
    browser: Browser, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    clock = fleet.Clock(now)
    browsing = browser.new_context(locale="en-GB")
    page = browsing.new_page()
    with fleet.open_context(tmp_path, clock) as context, serving(context) as url:
        page.goto(url)
        page.wait_for_selector("#connection[data-state=live]", timeout=SHORT_MS)
        page.evaluate("document.body.dataset.mark = 'not reloaded'")
        empty = page.locator("h2").all_inner_texts()
    page.wait_for_selector("#connection[data-state=lost]", timeout=SHORT_MS)

    # The server learns of machines before it answers again, and tells nobody of them.
    with fleet.open_context(tmp_path, clock) as context:
        fleet.record(context, fleet.business_facts(now))
        with serving(context, port=urlsplit(url).port or 0):
            page.wait_for_selector("#connection[data-state=live]", timeout=2 * SHORT_MS)
            page.wait_for_selector("#unconnected", timeout=SHORT_MS)

            assert empty == ["Three steps to the first answer"]
            assert page.evaluate("document.body.dataset.mark") == "not reloaded"
            browsing.close()


def test_a_fold_stays_open_when_the_page_is_redrawn(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    page = open_page("/").page
    page.locator("#unconnected summary").click()

    with page.expect_response(lambda answer: urlsplit(answer.url).path == "/"):
        page.evaluate("document.body.dispatchEvent(new CustomEvent('staybolt:changed'))")
    page.wait_for_timeout(300)

    assert page.locator("#unconnected").get_attribute("open") is not None


def test_the_keyboard_reaches_the_content_first(open_page: Callable[..., Watched]) -> None:
    page = open_page("/").page

    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.className") == "skip"


def test_evidence_leads_to_the_charts_at_its_window(
    site: Site, open_page: Callable[..., Watched]
) -> None:
    page = open_page(site.paths()[-1]).page

    page.locator("a.button").first.click()
    page.wait_for_selector("#charts .uplot canvas", timeout=SHORT_MS)

    assert page.locator("#charts").get_attribute("data-from-s") is not None
    assert page.locator("#ranges [aria-pressed=true]").count() == 0


def test_stale_data_look_stale(site: Site, open_page: Callable[..., Watched]) -> None:
    newest = HealthService(site.context).machine("calm-press-1").newest_sample_at
    assert newest is not None
    site.clock.now = max(site.clock(), newest + timedelta(hours=1))

    page = open_page("/machines/calm-press-1").page
    page.evaluate(
        "t => { document.querySelector('time[data-newest-of]').dateTime = t }",
        (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
    )
    page.wait_for_selector(".newest.stale .stale-word", state="visible", timeout=SHORT_MS)


def test_static_files_are_small_enough_for_a_phone(site: Site) -> None:
    folder = Path(__file__).parents[2] / "api" / "web" / "static"
    whole = sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in {".js", ".css"})

    assert whole < 150 * 1024
