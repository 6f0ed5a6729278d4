"""A real browser: Chromium, or the one named by ARTDREAM_CHROMIUM; if it is missing, tests fail in CI, else skip."""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakSet

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.skip import skip_or_fail
from tests.waiting import WAIT_TIMEOUT_SECONDS

#: Milliseconds that a browser may take for anything that a test waits for.
PAGE_TIMEOUT = 1000 * WAIT_TIMEOUT_SECONDS

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--js-flags=--max-lazy",  # Scripts are compiled when they run, which saves a fifth of the processor time.
]

#: In this order: Chromium without its windows draws and runs pages as the whole does, with half the processor time.
CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "google-chrome")

#: As root, Chromium would give its processes precedence over those whose times are measured.
_WITHOUT_PRECEDENCE = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice")

expect.set_options(timeout=PAGE_TIMEOUT)


def require_chromium() -> str:
    """Return the path of the browser. If there is none, fail in CI, and skip elsewhere."""
    path = os.environ.get("ARTDREAM_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        skip_or_fail("no Chromium: install Debian's `chromium-headless-shell`, or name one with ARTDREAM_CHROMIUM")
    return path


@contextmanager
def launch_chromium(command_prefix: Sequence[str] = (), arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Start Chromium without a window, and close it at the end.

    command_prefix: words before the browser's own command, to run it in another network namespace.
    arguments: further ones of the browser.
    """
    path = require_chromium()
    if os.geteuid() == 0 and shutil.which("setpriv"):
        command_prefix = (*command_prefix, *_WITHOUT_PRECEDENCE)
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        if command_prefix:
            script = Path(folder, "chromium")
            script.write_text(f'#!/bin/sh\nexec {shlex.join([*command_prefix, path])} "$@"\n')
            script.chmod(0o755)
            path = str(script)
        all_arguments = [*CHROMIUM_ARGUMENTS, *arguments]
        browser = playwright.chromium.launch(executable_path=path, args=all_arguments, timeout=PAGE_TIMEOUT)
        yield browser
        browser.close()


def new_context(browser: Browser, width: int, height: int, **options: Any) -> BrowserContext:
    """Return a new browser context whose pages have the given size in pixels and PAGE_TIMEOUT for everything.

    options: of Playwright's `Browser.new_context`.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(PAGE_TIMEOUT)
    return context


#: Contexts whose pages have a clock that a test moves: it cannot be taken away.
_with_clock = WeakSet[BrowserContext]()


def install_clock(page: Page) -> None:
    """Give a page a clock that the test moves with `page.clock`."""
    page.clock.install()
    _with_clock.add(page.context)


class ContextPool:
    """Contexts of a browser that one test after another uses.

    Scripts are in their caches then, compiled. Cookies and what pages stored are deleted between two tests, as all else
    that a test sets in a context.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[str, list[BrowserContext]] = {}
        self._taken: list[tuple[str, BrowserContext]] = []

    def new_page(self, base_url: str, width: int, height: int, **options: Any) -> Page:
        """Return an empty page of the given size in pixels, whose URLs begin at base_url, in a context of its own.

        options: of Playwright's `Browser.new_context`.
        """
        key = repr((base_url, sorted(options.items())))
        if free := self._free.get(key):
            context = free.pop()
        else:
            context = new_context(self._browser, width, height, base_url=base_url, **options)
        self._taken.append((key, context))
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        context.new_cdp_session(page).send("Storage.clearDataForOrigin", {"origin": base_url, "storageTypes": "all"})
        return page

    def release(self) -> None:
        """Close all pages. The next test gets their contexts, but for those with a clock."""
        for key, context in self._taken:
            if context in _with_clock:
                context.close()
                continue
            for page in context.pages:
                page.close()
            context.unroute_all()
            context.clear_permissions()
            context.clear_cookies()
            self._free.setdefault(key, []).append(context)
        self._taken.clear()
