"""Watch a folder and take in every photo that arrives there."""

import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from producer.delivery import Delivery
from producer.folder import Folder
from producer.intake import Intake
from producer.ledger import File, Mark
from producer.settling import Settling, mark_of
from shared.recipe import load_recipe
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two looks at the whole folder where no event asked for one: events get lost.
LOOK_EVERY = 2.0

#: Seconds between two looks at the files that are not yet whole.
TICK = 0.02

#: Seconds that an idle producer takes at most to notice that it shall stop.
IDLE_TICK = 0.2

#: Pictures decoded at a time. The decoders release the interpreter; each holds up to 100 MB for a phone's picture.
DECODERS = 2

#: Photos that are decoded before the one in front of them is through, so that an outage does not fill the memory.
AHEAD = 4

#: Seconds that what is being delivered gets to finish at the end.
GRACE = 2.0


def run(settings: Settings, stop: threading.Event) -> None:
    """Take in what is and what arrives in the inbox until `stop` is set; then return within about two seconds.

    Writes in the data folder only; the inbox is never changed. While the store or the broker is away photos stay in
    the inbox and go out when it is back. Raises ArtDreamError where inbox, recipe or the broker's address is missing.
    """
    recipe = load_recipe(settings.recipe)
    folder = Folder(settings.inbox)
    intake = Intake(settings)
    delivery = Delivery(intake, recipe, f"{socket.gethostname()}-{os.getpid()}", str(folder.path))
    decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder")
    settling = Settling(decoders, settle=settings.settle_seconds, patience=settings.patience_seconds)
    done = intake.ledger.seen(folder.path)
    try:
        delivery.start()
        with folder:
            logger.info("Watching %s, recipe “%s”.", folder.path, recipe.name)
            _watch(folder, settling, delivery, done, stop)
    finally:
        decoders.shutdown(wait=False, cancel_futures=True)
        delivery.end(GRACE)
        if not delivery.is_alive():
            intake.close()


def _watch(
    folder: Folder, settling: Settling, delivery: Delivery, done: dict[Path, Mark], stop: threading.Event
) -> None:
    """Bring files from the folder through settling to the delivery. `done`: files that are through, by their state."""
    underway: dict[Path, Mark] = {}
    next_look = 0.0
    while not stop.is_set():
        if folder.changed.is_set() or time.monotonic() >= next_look:
            folder.changed.clear()  # before the look, so that what happens meanwhile asks for another
            next_look = time.monotonic() + LOOK_EVERY
            for path, mark in folder.files().items():
                if path not in underway and done.get(path) != mark:
                    settling.notice(File(path, mark))
        for settled in settling.poll(AHEAD - delivery.backlog):
            underway[settled.file.path] = settled.file.mark
            delivery.hand(settled)
        for file in delivery.delivered():
            done[file.path] = underway.pop(file.path)
            if mark_of(file.path) != file.mark:  # changed while nobody looked at it
                folder.changed.set()
        if len(settling):
            stop.wait(TICK)
        else:
            folder.changed.wait(IDLE_TICK)
