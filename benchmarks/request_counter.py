"""A relay before a store that counts what is asked of it."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: How a request begins (RFC 9112, 3). Pictures between two of them never look like it.
_LINE = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (/\S*) HTTP/1\.1\r\n")


@contextmanager
def counted(port: int, relay_port: int) -> Iterator[Counter[str]]:
    """Relay one port of this machine to another while the block runs; yields how often each method was asked for."""
    found: Counter[str] = Counter()
    loop = asyncio.new_event_loop()

    async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, *, asks: bool) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 20):
                if asks:
                    found.update("LIST" if b"list-type" in path else how.decode() for how, path in _LINE.findall(data))
                to.write(data)
                await to.drain()
        to.close()

    async def relay(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):  # whoever asked is still connected when the block ends
            await asyncio.gather(pump(near, on, asks=True), pump(far, back, asks=False))

    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", relay_port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    relays = asyncio.all_tasks() - {asyncio.current_task()}
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
