"""`artdream doctor`: check this machine and its installation; each problem comes with what to do about it."""

import contextlib
import os
import platform
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast
from urllib.request import urlopen

from artdream.cli.checks import CheckResult
from artdream.stack.report import describe_phone_access
from shared.broker.client import (
    BROKER_ACCESS_DENIED,
    BROKER_UNAVAILABLE,
    connect,
    describe_error,
    require_noeviction,
)
from shared.broker.preflight import require_broker_access
from shared.errors import ArtDreamError
from shared.jobs.rejected_messages import format_rejection_counts, read_rejection_counts
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.printing.prints import PrinterStatus
from shared.provenance.signing import load_signer
from shared.recipe.objective import Channels, Classes, Content, Guide, Layers, Style
from shared.recipe.recipe import Recipe, load_recipe
from shared.redis_keys import REJECTED_KEY
from shared.settings import ENV_PREFIX, Settings
from shared.ssh.broker_tunnel import open_broker_tunnel
from shared.storage.object_names import dream_name
from shared.storage.store import Store
from shared.webhooks.overview import read_webhook_overview

if TYPE_CHECKING:
    from worker.networks.catalogue import CatalogueEntry

#: Bytes: enough for the photos, frames and dreams of an evening with a thousand guests.
MIN_FREE_DISK_BYTES = 2 * 1024**3

#: Seconds that this machine's clock may differ from the broker's: events contain times of both.
MAX_CLOCK_SKEW_SECONDS = 2.0


def run_checks(settings: Settings) -> Iterator[CheckResult]:
    """Run every check, and yield its result."""
    skipped: set[str] = set()
    with contextlib.ExitStack() as stack:
        for name, check in _CHECKS.items():
            if name in skipped or not _is_wanted(name, settings):
                continue
            try:
                if name == "broker":
                    settings = stack.enter_context(open_broker_tunnel(settings))
                result = CheckResult(name=name, passed=True, finding=check(settings))
            except (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
                result = CheckResult(name=name, passed=False, finding=describe_error(error))
                skipped |= _DEPENDENT_CHECKS.get(name, set())
            yield result


def _is_wanted(check: str, settings: Settings) -> bool:
    names = _OPTIONAL_CHECKS.get(check)
    return names is None or any(getattr(settings, name) not in (None, "", "off", False) for name in names)


def _check_python(_settings: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _check_inbox(settings: Settings) -> str:
    try:
        count = sum(1 for _ in settings.inbox.iterdir())
    except PermissionError:
        macos_hint = "allow your terminal in System Settings → Privacy & Security → Files and Folders"
        hint = macos_hint if sys.platform == "darwin" else "change its permissions"
        raise ArtDreamError(f"{settings.inbox} cannot be read: {hint}.") from None
    except OSError as error:
        raise ArtDreamError(
            f"{settings.inbox} cannot be listed ({error.strerror}): create it, or name another with --inbox."
        ) from error
    return f"{settings.inbox}, {count} entries"


def _check_heic(_settings: Settings) -> str:
    if find_spec("pillow_heif") is None:
        raise ArtDreamError("HEIC cannot be decoded: install `artdream[producer]`.")
    import pillow_heif

    return f"decoded by libheif {pillow_heif.libheif_version()}"


def _check_ssh(settings: Settings) -> str:
    from shared.ssh.connection import Account, log_in

    account = Account.parse(settings.ssh or "", settings.ssh_key, settings.ssh_known_hosts)
    try:
        log_in(account).close()
    except ConnectionError as error:
        raise ArtDreamError(f"Cannot connect: {error}. Is the host running, and is {ENV_PREFIX}SSH correct?") from error
    return f"{account} is known and accepts the login"


def _check_broker(settings: Settings) -> str:
    require_broker_access(settings)
    client = connect(settings.broker)
    client.ping()
    require_noeviction(client)
    if not cast("dict[str, object]", client.info("persistence"))["aof_enabled"]:
        raise ArtDreamError("The broker keeps no append-only file: set appendonly yes, or a restart loses queued jobs.")
    return "answers, evicts nothing, keeps an append-only file"


def _check_lanes(settings: Settings) -> str:
    if counts := read_rejection_counts(connect(settings.broker)):
        raise ArtDreamError(
            f"Rejected messages that are not valid jobs: {format_rejection_counts(counts)}. Does another program write "
            f"to this broker, or is a producer newer than the workers? Then clear the count with DEL {REJECTED_KEY}."
        )
    return "no message was rejected"


def _check_clock(settings: Settings) -> str:
    client = connect(settings.broker)
    client.ping()  # So that the measured round trip does not include connecting.
    before = time.time()
    seconds, microseconds = client.time()
    skew_seconds = (before + time.time()) / 2 - (seconds + microseconds / 1e6)
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS:
        direction = "ahead of" if skew_seconds > 0 else "behind"
        raise ArtDreamError(
            f"This machine's clock is {abs(skew_seconds):.1f} s {direction} the broker's: synchronize both with NTP."
        )
    return f"agrees with the broker's within {abs(skew_seconds) * 1000:.0f} ms"


def _check_store(settings: Settings) -> str:
    store, name, probe = Store(settings.store), dream_name(f"doctor-{uuid.uuid4().hex}"), b"artdream doctor"
    store.put(name, probe)
    try:
        if store.get(name) != probe:
            raise ArtDreamError(f"The store {store.url} returned other bytes than were written.")
        links = _check_links(store, name, probe)
    finally:
        store.delete(name)
    return f"{store.url} can be written and read; {links}"


def _check_links(store: Store, name: str, probe: bytes) -> str:
    if (url := store.presign_url(name, seconds=60)) is None:
        return "this kind of store has no links"
    try:
        with urlopen(url, timeout=10) as response:  # noqa: S310  the store's own
            is_same = response.read() == probe
    except OSError as error:
        raise ArtDreamError(
            f"The store {store.url} gives links that do not open ({error}). Is this clock correct, and may its key "
            "read?"
        ) from error
    if not is_same:
        raise ArtDreamError(f"The store {store.url} gives links that lead elsewhere: check its endpoint.")
    return "its links open"


def _check_worker(settings: Settings) -> str:
    workers = [p for p in HeartbeatRegistry(connect(settings.broker)).list_heartbeats() if p.part == Component.WORKER]
    if not workers:
        raise ArtDreamError("No worker is running: start one with `artdream worker`.")
    return ", ".join(f"{worker.name} is {worker.state}" for worker in workers)


def _check_network(settings: Settings) -> str:
    if find_spec("tensorflow") is None:
        return "TensorFlow is not installed: workers on other machines process the jobs"
    from worker.networks.catalogue import ARTIST_PREFIX, list_networks

    recipes = [load_recipe(name) for name in settings.recipes]
    store = Store(settings.store) if any(recipe.network.startswith(ARTIST_PREFIX) for recipe in recipes) else None
    catalogue = {network.name: network for network in list_networks(settings.weights.expanduser(), store)}
    networks = dict.fromkeys(
        _describe_weights(recipe, catalogue[recipe.network]) for recipe in recipes if recipe.network in catalogue
    )
    for recipe in recipes:
        if recipe.network not in catalogue:
            return f"the recipe “{recipe.name}” has a network of its own: {recipe.network}"
    return f"{', '.join(networks)}, of the recipe “{settings.recipe}”: weights are available"


def _describe_weights(recipe: Recipe, network: "CatalogueEntry") -> str:
    """Return the name of a recipe's network, and its last layer if its weights end there.

    Raises ArtDreamError if the recipe needs more.
    """
    if not network.is_available:
        raise ArtDreamError(
            f"The weights of {network.name}, which the recipe “{recipe.name}” uses, are missing: {network.remedy}."
        )
    if (first := network.first_layers) is None:
        return network.name
    if missing := _list_layers(recipe) - first.layers:
        raise ArtDreamError(
            f"The recipe “{recipe.name}” needs {', '.join(sorted(missing))} of {network.name}, whose weights, from "
            f"{first.package}, end at {first.last_layer}: {network.remedy} downloads all of them if "
            "Keras's host can be reached."
        )
    return f"{network.name} (up to {first.last_layer})"


def _list_layers(recipe: Recipe) -> set[str]:
    """Return the layers that a recipe names, and “classes” if it names classes."""
    names: set[str] = set()
    for term in recipe.objective:
        match term:
            case Layers() | Guide() | Style() | Content():
                names |= term.layers.keys()
            case Channels():
                names.add(term.layer)
            case Classes():
                names.add("classes")
    return names


def _check_moderation(settings: Settings) -> str:
    if find_spec("tensorflow") is None:
        return "TensorFlow is not installed: workers on other machines score photos and dreams"
    from worker.networks.open_nsfw import read_weights

    read_weights()
    return f"weights are available; what scores {settings.moderation_threshold:g} or more waits for approval"


def _check_signature(settings: Settings) -> str:
    signer = load_signer(settings)
    assert signer is not None  # noqa: S101
    assert settings.c2pa_key is not None  # noqa: S101
    key = settings.c2pa_key.expanduser()
    if key.stat().st_mode & stat.S_IRWXO:
        raise ArtDreamError(f"Every account of this machine can read {key}, the key for C2PA: run `chmod 600 {key}`.")
    expires_at = signer.check_dates()
    signer.check()
    return f"dreams are signed; the certificate expires on {expires_at:%Y-%m-%d}"


def _check_printer(settings: Settings) -> str:
    status = _read_printer(settings)
    if status.state == "missing":
        raise ArtDreamError(
            f"There is no queue {status.name}: `lpstat -e` lists those of this machine. Is {ENV_PREFIX}PRINTER correct?"
        )
    if not status.is_working:
        raise ArtDreamError(f"{status.name} is {status.state}. {status.message}".rstrip())
    sheet = f"{settings.print_sheet} on {settings.print_paper}"
    return f"{status.name} is {status.state}, {sheet}; {_describe_links(settings)}"


def _read_printer(settings: Settings) -> PrinterStatus:
    if any(find_spec(name) is None for name in ("PIL", "segno")):
        raise ArtDreamError("Sheets cannot be drawn: install `artdream[print]`.")
    from display.printing.queue import PrintQueue

    return PrintQueue(settings.printer).read_status()


def _describe_links(settings: Settings) -> str:
    from display.printing.content import make_link

    if make_link(settings, "0" * 32):
        return "QR codes lead to share pages"
    return (
        f"no QR codes: set {ENV_PREFIX}PUBLIC_URL and {ENV_PREFIX}LINKS_SECRET as on the display, "
        "or use its data folder"
    )


def _check_mirror(settings: Settings) -> str:
    import numpy as np

    from display.mirror.stylizer import Stylizer, get_network_folder

    stylizer = Stylizer(get_network_folder(settings))
    styles = len(stylizer.metadata.styles)
    frame, shares = np.zeros((3, 4, 3), np.uint8), [1 / styles] * styles
    stylizer.paint(frame, shares)  # the first takes longer
    started = time.perf_counter()
    stylizer.paint(frame, shares)
    return f"{styles} styles; this machine paints a frame in {1000 * (time.perf_counter() - started):.0f} ms"


def _check_webhooks(settings: Settings) -> str:
    client = connect(settings.broker)
    overview = read_webhook_overview(client, Store(settings.store))
    if overview.problems:
        raise ArtDreamError(" ".join(overview.problems))
    if not overview.endpoints:
        return "no endpoint was added"
    if not any(heartbeat.part == Component.WEBHOOKS for heartbeat in HeartbeatRegistry(client).list_heartbeats()):
        raise ArtDreamError(f"Nothing delivers webhooks: start `artdream webhooks`, or set {ENV_PREFIX}WEBHOOKS=true.")
    return f"{overview.endpoints} endpoints, {overview.waiting} messages waiting"


def _check_disk(settings: Settings) -> str:
    folder = settings.data if settings.data.exists() else settings.data.absolute().parent
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < MIN_FREE_DISK_BYTES:
        raise ArtDreamError(
            f"{folder} has {free_bytes / 1e9:.1f} GB free: an evening needs {MIN_FREE_DISK_BYTES / 1e9:.0f} GB."
        )
    return f"{free_bytes / 1e9:.0f} GB free at {folder}"


_CHECKS: dict[str, Callable[[Settings], str]] = {
    "python": _check_python,
    "inbox": _check_inbox,
    "heic": _check_heic,
    "ssh": _check_ssh,
    "broker": _check_broker,
    "lanes": _check_lanes,
    "clock": _check_clock,
    "store": _check_store,
    "worker": _check_worker,
    "network": _check_network,
    "moderation": _check_moderation,
    "signature": _check_signature,
    "phones": describe_phone_access,
    "printer": _check_printer,
    "mirror": _check_mirror,
    "webhooks": _check_webhooks,
    "disk": _check_disk,
}

#: Checks of what is optional → the settings that ask for it.
_OPTIONAL_CHECKS = {
    "ssh": ("ssh",),
    "moderation": ("moderation",),
    "signature": ("c2pa_key", "c2pa_certificate"),
    "printer": ("printer",),
    "mirror": ("mirror",),
}

#: Checks to skip after another one failed, because they would only report the same problem.
_DEPENDENT_CHECKS = {
    "ssh": {"broker", "clock", "lanes", "webhooks", "worker"},
    "broker": {"clock", "lanes", "webhooks"},
}
