"""One JupyterLab and one Chromium for all tests of this folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ..jupyter.place import PATIENCE
from .desk import Desk
from .lab import Lab, running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-features=Translate,OptimizationHints,MediaRouter",
]
SIZE = {"width": 1200, "height": 950}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These come last: Playwright leaves a running loop in the thread of the tests, and others need one."""
    here = Path(__file__).parent
    items.sort(key=lambda item: here in item.path.parents)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None and not os.environ.get("BROWSER_REQUIRED"):
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context(viewport=SIZE) as made:
        made.set_default_timeout(PATIENCE * 1000)
        yield made


@pytest.fixture(scope="session")
def front(context: BrowserContext, lab: Lab, pictures: Path) -> Desk:
    """Lab as it is loaded once: that takes seconds."""
    desk = Desk(context.new_page(), lab, pictures)
    desk.enter()
    return desk


@pytest.fixture
def desk(front: Desk, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Lab with no notebook open. What was there at the end is a picture."""
    yield front
    front.picture(request.node.name)
    front.clear()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of its own."""
    with context.new_page() as made:
        yield made


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: CODEACT_SCREENSHOTS, or a temporary folder."""
    wanted = os.environ.get("CODEACT_SCREENSHOTS")
    folder = Path(wanted).absolute() if wanted else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
