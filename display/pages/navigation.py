"""Navigation: which pages the display has beside the wall, so that each can link to the others."""

from display.web.threads import run_in_thread
from shared.guest_upload_names import are_uploads_taken
from shared.settings import Settings

#: Path of the mirror, which no guest's page links to.
MIRROR_PATH = "/mirror"

#: Paths of the pages that guests may open while the upload page is open.
GUEST_PAGES = ["/gallery", "/map", "/send"]


async def list_guest_pages(settings: Settings) -> list[str]:
    """Return the paths of the pages that guests may open; the upload page only while a producer takes their photos."""
    is_open = settings.send and await run_in_thread(lambda: are_uploads_taken(settings.data))
    return GUEST_PAGES if is_open else GUEST_PAGES[:-1]
