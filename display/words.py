"""Every word that a guest reads, in every language that the display speaks."""

from collections.abc import Mapping

#: What is spoken where nothing else is asked for, and where a translation is missing.
DEFAULT = "en"

#: Language (ISO 639-1) → name of a text → text. Where a number matters there is a form for one and one for many.
CATALOGUE: Mapping[str, Mapping[str, str]] = {
    "en": {
        "name": "ArtDream",
        "invitation": "AirDrop a photo and watch it dream",
        "dreaming": "dreaming of",
        "dreamt": "a dream of",
        "photo": "the photo",
        "dream": "the dream",
        "verdict": "{name}: {photo} → {dream}",
        "percent": "{number} %",
        "one_more": "one more is on its way",
        "many_more": "{count} more are on their way",
        "one_waiting": "a photo is on its way",
        "many_waiting": "{count} photos are on their way",
        "none_ahead": "yours is next, about {time}",
        "one_ahead": "one photo ahead of yours, about {time}",
        "many_ahead": "{count} photos ahead of yours, about {time}",
        "seconds": "{count} s",
        "minutes": "{count} min",
        "reconnecting": "reconnecting",
        "strip": "Earlier dreams",
        "alt_photo": "The photo",
        "alt_frame": "The photo, dreaming of {title}",
        "alt_dream": "The photo’s dream of {title}",
    },
    "de": {
        "invitation": "Schick ein Foto per AirDrop und sieh ihm beim Träumen zu",
        "dreaming": "träumt von",
        "dreamt": "ein Traum von",
        "photo": "das Foto",
        "dream": "der Traum",
        "one_more": "eines ist noch unterwegs",
        "many_more": "{count} sind noch unterwegs",
        "one_waiting": "ein Foto ist unterwegs",
        "many_waiting": "{count} Fotos sind unterwegs",
        "none_ahead": "deines ist das nächste, in etwa {time}",
        "one_ahead": "ein Foto vor deinem, etwa {time}",
        "many_ahead": "{count} Fotos vor deinem, etwa {time}",
        "minutes": "{count} Min.",
        "reconnecting": "Verbindung wird gesucht",
        "strip": "Frühere Träume",
        "alt_photo": "Das Foto",
        "alt_frame": "Das Foto träumt von {title}",
        "alt_dream": "Der Traum des Fotos von {title}",
    },
}


def words(language: str = DEFAULT) -> dict[str, str]:
    """Return every text in a language; an unknown one, and whatever is not translated, falls back to the default."""
    chosen = language.partition("-")[0].lower()
    return {**CATALOGUE[DEFAULT], **CATALOGUE.get(chosen, {}), "language": chosen if chosen in CATALOGUE else DEFAULT}
