"""A real browser: Chromium, or the one named by ARTDREAM_CHROMIUM; if it is missing, tests fail in CI, else skip."""

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

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


@contextmanager
def close_contexts(browser: Browser) -> Iterator[Browser]:
    """Yield a browser, and close the contexts that were opened meanwhile."""
    yield browser
    for context in browser.contexts:
        context.close()


def new_context(browser: Browser, width: int, height: int, **options: Any) -> BrowserContext:
    """Return a new browser context whose pages have the given size in pixels and PAGE_TIMEOUT for everything.

    options: of Playwright's `Browser.new_context`.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(PAGE_TIMEOUT)
    return context
