"""Event appearance: what the display's event file says, with the logo ready to be stored."""

from dataclasses import dataclass

from display.media.logos import MAX_LOGO_BYTES, Logo, prepare_logo
from shared.appearance import Appearance, read_event_file
from shared.errors import ArtDreamError
from shared.settings import Settings


@dataclass(frozen=True)
class EventAppearance:
    """The appearance that a display starts with, and the logo that it names; None if there is none."""

    appearance: Appearance
    logo: Logo | None = None


def load_event_appearance(settings: Settings) -> EventAppearance:
    """Read the event file that the settings name. Raises ArtDreamError that says what is wrong with it."""
    if settings.event is None:
        return EventAppearance(Appearance())
    event_file = read_event_file(settings.event)
    if event_file.logo is None:
        return EventAppearance(event_file.appearance)
    try:
        with event_file.logo.open("rb") as file:
            logo = prepare_logo(file.read(MAX_LOGO_BYTES + 1))
    except OSError as error:
        raise ArtDreamError(
            f"The logo {event_file.logo} of the event file cannot be read: {error.strerror or error}."
        ) from None
    except ArtDreamError as error:
        raise ArtDreamError(f"The event file {settings.event}: logo: {event_file.logo}: {error}") from None
    return EventAppearance(event_file.appearance.with_changes({"logo": logo.object_name}), logo)
