"""Every word that a guest reads on the wall."""

#: Where a number matters there is a form for one and a form for many.
WORDS = {
    "name": "ArtDream",
    "invitation": "AirDrop a photo and watch it dream",
    "dreaming": "dreaming of",
    "dreamt": "a dream of",
    "photo": "the photo",
    "dream": "the dream",
    "one_more": "one more is on its way",
    "many_more": "{count} more are on their way",
    "one_waiting": "a photo is on its way",
    "many_waiting": "{count} photos are on their way",
    "reconnecting": "reconnecting",
    "strip": "Earlier dreams",
    "alt_photo": "The photo",
    "alt_frame": "The photo, dreaming of {title}",
    "alt_dream": "The photo’s dream of {title}",
}
