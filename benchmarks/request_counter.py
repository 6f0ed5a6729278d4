"""A relay before a store that counts what is asked of it."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: How a request begins (RFC 9112, 3). Pictures between two of them never look like it.
_REQUEST_LINE = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (/\S*) HTTP/1\.1\r\n")


@contextmanager
def count_requests(port: int, relay_port: int) -> Iterator[Counter[str]]:
    """Relay one port of this machine to another while the block runs; yields how often each method was asked for."""
    found: Counter[str] = Counter()
    loop = asyncio.new_event_loop()

    async def pump(source: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_request: bool) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 20):
                if is_request:
                    found.update(
                        "LIST" if b"list-type" in path else how.decode() for how, path in _REQUEST_LINE.findall(data)
                    )
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, on = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):  # whoever asked is still connected when the block ends
            await asyncio.gather(pump(reader, on, is_request=True), pump(far, writer, is_request=False))

    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", relay_port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_close_server(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close_server(server: asyncio.Server) -> None:
    server.close()
    relays = asyncio.all_tasks() - {asyncio.current_task()}
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
