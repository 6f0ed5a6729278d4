"""Count the HTTP requests to a store with a relay in front of it."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: The request line (RFC 9112, 3). Picture data between two requests never matches it.
_REQUEST_LINE = re.compile(rb"(GET|PUT|HEAD|POST|DELETE) (/\S*) HTTP/1\.1\r\n")


@contextmanager
def count_requests(port: int, relay_port: int) -> Iterator[Counter[str]]:
    """Relay `relay_port` of this machine to `port` while the context is open; yield the requests by method."""
    counts: Counter[str] = Counter()
    loop = asyncio.new_event_loop()

    async def pump(source: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_request: bool) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 20):
                if is_request:
                    counts.update(
                        "LIST" if b"list-type" in path else method.decode()
                        for method, path in _REQUEST_LINE.findall(data)
                    )
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(asyncio.CancelledError):  # clients are still connected when the context ends
            await asyncio.gather(
                pump(reader, server_writer, is_request=True), pump(server_reader, writer, is_request=False)
            )

    server = loop.run_until_complete(asyncio.start_server(relay, "127.0.0.1", relay_port))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield counts
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
