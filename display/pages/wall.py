"""The wall: a Streamlit page that mounts one component. The component draws everything from the feed."""

import streamlit as st
from streamlit.components.v2 import component

from display.i18n import get_guest_texts
from display.web.html import read_component
from shared.settings import Settings

#: In the order in which they build on each other; the browser gets them as one module.
_SCRIPTS = ("feed.js", "crossfade.js", "playlist.js", "wall.js")

settings = Settings.read()
texts = get_guest_texts(st.query_params.get("lang", settings.language))
st.set_page_config(page_title=texts["name"], page_icon=read_component("common/icon.svg"), layout="wide")
wall = component(
    "artdream_wall",
    html=read_component("wall/wall.html"),
    css=read_component("common/tokens.css") + read_component("wall/wall.css"),
    js="\n".join(read_component(f"wall/{name}") for name in _SCRIPTS),
)
wall(key="wall", data={"words": texts, "idle_after": settings.idle_after, "rotate_every": settings.rotate_every})
