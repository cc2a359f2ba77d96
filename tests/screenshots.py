"""Takes the README's pictures from the running demo: ``python -m tests.screenshots``."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import sync_playwright

from tests.servers.availability import ROOT, find_program

IMAGES: Final = ROOT / "docs" / "images"
START_TIMEOUT_S: Final = 240.0
FRESH_S: Final = 60.0
"""A sample this young is of the present: the simulated plant has caught up."""

SETTLE_S: Final = 5.0
"""By then health, proposals and risks follow from the newest samples."""

MACHINE: Final = "conveyor-01"
CUSTOMER: Final = "cust-001"
"""The first to wear in the demo, and whom it belongs to."""

MAX_BYTES: Final = 250_000
"""What a picture of the README may weigh."""

CHROMIUM_ARGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def main() -> int:
    """Start the demo, wait until there is something to see, take the pictures."""
    chromium = find_program("chromium")
    if chromium is None:
        print("chromium is not installed; `make servers` installs it as root", file=sys.stderr)
        return 1
    with demo() as url:
        wait_for_live_risks(url)
        time.sleep(SETTLE_S)
        take(url, chromium)
    return 0


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """Run ``staybolt demo`` on a free port in a folder of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="staybolt-screenshots-") as folder:
        program = str(Path(sys.executable).with_name("staybolt"))
        command = [program, "demo", "--no-browser", "--port", str(port), "--dir", f"{folder}/demo"]
        running = subprocess.Popen(command, start_new_session=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            running.send_signal(signal.SIGINT)
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def wait_for_live_risks(url: str) -> None:
    """Until customers have risks and the plant's samples are of the present."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            customers, machines = read(f"{url}/v1/customers"), read(f"{url}/v1/machines")
            risky = {customer["key"] for customer in customers["items"] if customer["risk"]}
            if CUSTOMER in risky and all(is_live(machine) for machine in machines["items"]):
                return
        time.sleep(1.0)
    msg = f"{url} showed no live risks within {START_TIMEOUT_S:.0f} s; see the demo's logs"
    raise TimeoutError(msg)


def is_live(machine: dict[str, Any]) -> bool:
    """Whether a machine sends now, or never did."""
    newest: str | None = machine["newest_sample_at"]
    if newest is None:
        return bool(machine["key"] != MACHINE)
    age = datetime.now(UTC) - datetime.fromisoformat(newest)
    return age < timedelta(seconds=FRESH_S)


def read(url: str) -> Any:  # noqa: ANN401  # JSON
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def take(url: str, chromium: str) -> None:
    """Save the four pictures, 1440 x 900, light."""
    pages = {
        "fleet": "/",
        "machine": f"/machines/{MACHINE}",
        "proposals": "/proposals",
        "customer": f"/customers/{CUSTOMER}",
    }
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGS))
        page = browser.new_page(
            viewport={"width": 1440, "height": 900},
            device_scale_factor=1,
            color_scheme="light",
            locale="en-GB",
        )
        for name, path in pages.items():
            page.goto(url + path)
            page.wait_for_selector("#connection[data-state=live]")
            page.wait_for_timeout(1500)
            picture = IMAGES / f"{name}.png"
            page.screenshot(path=picture)
            n_bytes = picture.stat().st_size
            print(f"{picture} {n_bytes / 1000:.0f} kB")
            if n_bytes > MAX_BYTES:
                msg = f"{picture} weighs {n_bytes} bytes, more than {MAX_BYTES}; show less on it"
                raise ValueError(msg)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
