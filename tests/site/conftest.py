"""The built site, served on this machine only, and a browser that looks at it."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_addoption(parser):
    """Declare the two options of these tests."""
    parser.addoption("--built", help="the directory of a site that is built already")
    parser.addoption("--screenshots", help="where to keep the screenshots")


@pytest.fixture(scope="session")
def built(request, tmp_path_factory):
    """The directory of the site, built strictly unless --built names one."""
    given = request.config.getoption("--built")
    if given:
        return Path(given).resolve()
    target = tmp_path_factory.mktemp("site")
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    for command in (
        ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        ["tests.kit.unit.docs.for_agents", str(target)],
    ):
        run = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
    return target


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_):
        """Leave the terminal to pytest."""


class WithoutSearch(Quiet):
    """Serves pages that find nothing: each reads the search's index anew, as long as itself.

    Playwright could answer for the server, and would keep nothing in the browser's cache then.
    """

    def do_GET(self):
        """Answer, for the index, that there is nothing."""
        if not self.path.endswith("/search_index.json"):
            super().do_GET()
            return
        body = json.dumps(NOTHING_FOUND).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


NOTHING_FOUND = {"config": {"lang": ["en"], "separator": " ", "fields": {}}, "docs": []}


@contextmanager
def served(built, kind):
    """The URL of the site, on a port of this machine that nobody else sees."""
    handler = functools.partial(kind, directory=built)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def address(built):
    """Where the site is, without its search."""
    with served(built, WithoutSearch) as address:
        yield address


@pytest.fixture(scope="session")
def whole_address(built):
    """Where the site is with its search."""
    with served(built, Quiet) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """The machine's own Chromium, without a window; nothing is downloaded."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--disable-gpu"])
        yield chromium
        chromium.close()


WINDOW = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def reader(browser, address):
    """One window for all pages, so that what they share is loaded once."""
    context = browser.new_context(base_url=address, viewport=WINDOW)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def searcher(browser, whole_address):
    """One window in which the search has its index."""
    context = browser.new_context(base_url=whole_address, viewport=WINDOW)
    page = context.new_page()
    page.goto("")
    yield page
    context.close()


@pytest.fixture(scope="session")
def visit(reader):
    """Opens each page once and says what was seen of it."""

    @functools.cache
    def visit(path):
        return Visit(reader, path)

    return visit


@pytest.fixture
def open_page(browser, address):
    """Opens a page in a window of its own, in which nothing is remembered."""
    contexts = []

    def open_page(path, **options):
        contexts.append(browser.new_context(base_url=address, **options))
        page = contexts[-1].new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


class Visit:
    """What a page asked for and complained of while it loaded, and how it looks."""

    def __init__(self, page, path):
        self.complaints = []
        """Errors and warnings of the console, and what could not be loaded."""
        self.requests = []
        """The URLs that were asked for."""
        listeners = {
            "console": self._said,
            "pageerror": lambda error: self.complaints.append(str(error)),
            "request": lambda request: self.requests.append(request.url),
            "requestfailed": self._failed,
            "response": self._answered,
        }
        for event, listener in listeners.items():
            page.on(event, listener)
        page.set_viewport_size(WINDOW)
        page.goto(path)
        page.wait_for_function(_IS_DRAWN)
        self.title = page.title()
        page.add_style_tag(content="* { transition: none !important }")
        self.links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        self.blocks, self.buttons = page.evaluate(_BLOCKS)
        page.set_viewport_size({"width": 360, "height": 740})
        self.width = page.evaluate("document.scrollingElement.scrollWidth")
        self.contrast = {scheme: page.evaluate(_CONTRAST, scheme) for scheme in SCHEMES}
        for event, listener in listeners.items():
            page.remove_listener(event, listener)

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _failed(self, request):
        # What the page before this one still asked for is aborted when it is left.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"{request.failure}: {request.url}")

    def _answered(self, response):
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")


SCHEMES = ("default", "slate")
"""Light and dark, as the theme calls them."""

_BLOCKS = """[
  document.querySelectorAll('.md-content pre > code').length,
  document.querySelectorAll('.md-content pre .md-code__button[data-md-type=copy]').length,
]"""

_IS_DRAWN = f"(([blocks, buttons]) => blocks === buttons)({_BLOCKS})"
"""The theme puts its buttons on the page last."""

_CONTRAST = """scheme => {
  document.body.dataset.mdColorScheme = scheme;
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const painted = colours => {
    for (const colour of ['white', ...colours]) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = colours => {
    const [r, g, b] = painted(colours).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const known = {};
  const ratio = element => {
    const behind = [];
    for (let e = element; e; e = e.parentElement) {
      behind.unshift(getComputedStyle(e).backgroundColor);
    }
    const colours = [...behind, getComputedStyle(element).color];
    return known[colours] ??= (() => {
      const [a, b] = [luminance(behind), luminance(colours)];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })();
  };
  const read = '.md-content :is(p, li, td, pre > code, a:not(.headerlink))';
  return Math.min(...[...document.querySelectorAll(read)].filter(e => e.offsetParent).map(ratio));
}"""
