"""The pipeline that ArtDream came from, rebuilt from its description, to be measured beside it.

Everything polls, once a second: the Mac its folder, the server its folder, the Mac the server's folder over SSH, the
page the folder of dreams. A HEIC becomes a PNG of its full size, which `scp` takes up; the dream comes down in the same
way. Each call of `ssh` and `scp` is a connection of its own, as in a script that calls them.

Where the description says nothing it is kind to the original: the server takes a file at the first look at which it is
whole, the page's look is the display's look into its folder, and the next photo comes when this one has been shown.
"""

import argparse
import http.server
import io
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pillow_heif
from PIL import Image

#: Seconds between two polls.
POLL_SECONDS = 1.0

#: Long side of a dream in pixels: as in the recipe that it is compared with.
CANVAS_LONG_SIDE = 640

PAGE_HTML = """<!doctype html><style>body { margin: 0; background: #000 } img { height: 100vh }</style><img>
<script>
let shown;
setInterval(async () => {
  const newest = await (await fetch("/newest")).text();
  if (!newest || newest === shown) return;
  shown = newest;
  const image = new Image();
  image.src = "/" + newest;
  await image.decode();
  document.querySelector("img").replaceWith(image);
  image.dataset.name = newest;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    image.dataset.shownAt = performance.timeOrigin + performance.now();
  }));
}, 1000);
</script>"""


def poll(step: Callable[[], object]) -> None:
    """Call a function every POLL_SECONDS, without end."""
    while True:
        started_at = time.monotonic()
        step()
        time.sleep(max(0.0, POLL_SECONDS - (time.monotonic() - started_at)))


class OriginalClient:
    """The original's client, for one thread that sends and one that fetches."""

    def __init__(self, inbox: Path, dreams: Path, remote_folder: str, address: str, options: list[str]) -> None:
        """Create the client of a server. remote_folder: the server's folder. options: for `ssh` and `scp`."""
        self._inbox, self._dreams, self._remote_folder = inbox, dreams, remote_folder
        self._address, self._options = address, options
        self._sent: set[str] = set()

    def send(self) -> None:
        """Convert new photos of the inbox to PNG and upload them."""
        for path in sorted(self._inbox.glob("[!.]*.heic")):
            if path.stem not in self._sent:
                self._sent.add(path.stem)
                png = self._dreams / f".{path.stem}.png"
                heif = pillow_heif.open_heif(path)
                Image.frombytes(heif.mode, heif.size, heif.data, "raw", heif.mode, heif.stride).save(png)
                self._run("scp", "-q", str(png), f"{self._address}:{self._remote_folder}/in/{path.stem}.png")
                png.unlink()

    def fetch(self) -> None:
        """Download the dreams that are not here yet."""
        file_list = self._run("ssh", self._address, "ls", f"{self._remote_folder}/out")
        for name in file_list.split():
            if not (self._dreams / name).exists():
                partial_file = self._dreams / f".{name}"
                self._run("scp", "-q", f"{self._address}:{self._remote_folder}/out/{name}", str(partial_file))
                partial_file.rename(self._dreams / name)

    def _run(self, program: str, *arguments: str) -> str:
        process = subprocess.run([program, *self._options, *arguments], capture_output=True, text=True, check=True)
        return process.stdout


def serve_dreams(folder: Path, dream_seconds: float) -> None:
    """Process the photos in `in`, each as long as a GPU takes, and write the dreams to `out`. Never returns."""
    processed_names: set[str] = set()

    def process_new_files() -> None:
        for path in sorted((folder / "in").glob("*.png")):
            if path.name in processed_names:
                continue
            try:
                photo = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
            except OSError:  # the upload is not complete yet
                continue
            processed_names.add(path.name)
            deadline = time.monotonic() + dream_seconds
            photo.thumbnail((CANVAS_LONG_SIDE, CANVAS_LONG_SIDE), Image.Resampling.LANCZOS)
            partial_file = folder / path.name
            photo.save(partial_file)
            time.sleep(max(0.0, deadline - time.monotonic()))
            partial_file.rename(folder / "out" / path.name)

    poll(process_new_files)


class DreamRequestHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the page, the name of the newest picture, and the pictures of a folder."""

    def do_GET(self) -> None:
        """Serve the page, the newest picture's name, or a file."""
        if self.path == "/":
            self._respond(PAGE_HTML.encode(), "text/html")
        elif self.path == "/newest":
            names = sorted(Path(self.directory).glob("[!.]*.png"), key=lambda path: path.stat().st_mtime)
            self._respond(names[-1].name.encode() if names else b"", "text/plain")
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Log no requests."""

    def _respond(self, data: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Run as the server or as the client."""
    parser = argparse.ArgumentParser(description=__doc__)
    sides = parser.add_subparsers(dest="side", required=True)
    server = sides.add_parser("server")
    server.add_argument("folder", type=Path)
    server.add_argument("seconds", type=float)
    mac = sides.add_parser("mac")
    mac.add_argument("inbox", type=Path)
    mac.add_argument("dreams", type=Path)
    mac.add_argument("far")
    mac.add_argument("address")
    mac.add_argument("port", type=int)
    mac.add_argument("--ssh", action="append", default=[])
    arguments = parser.parse_args()
    if arguments.side == "server":
        serve_dreams(arguments.folder, arguments.seconds)
        return
    client = OriginalClient(
        arguments.inbox, arguments.dreams, arguments.far, arguments.address, [f"-o{option}" for option in arguments.ssh]
    )
    for step in (client.send, client.fetch):
        threading.Thread(target=poll, args=[step], daemon=True).start()
    handler = partial(DreamRequestHandler, directory=str(arguments.dreams))
    http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), handler).serve_forever()


if __name__ == "__main__":
    main()
