"""The wall: a Streamlit page with one component, which draws everything from the event feed."""

from importlib.resources import files

import streamlit as st
from streamlit.components.v2 import component

from display.i18n import get_guest_texts
from shared.settings import Settings

#: In dependency order; they are concatenated into one module.
_SCRIPTS = ("feed.js", "crossfade.js", "playlist.js", "wall.js")


def _read_asset(name: str) -> str:
    return files("display").joinpath("components", "wall", name).read_text(encoding="utf-8")


settings = Settings.read()
texts = get_guest_texts(st.query_params.get("lang", settings.language))
st.set_page_config(page_title=texts["name"], page_icon=_read_asset("icon.svg"), layout="wide")
wall = component(
    "artdream_wall",
    html=_read_asset("wall.html"),
    css=_read_asset("wall.css"),
    js="\n".join(map(_read_asset, _SCRIPTS)),
)
wall(key="wall", data={"words": texts, "idle_after": settings.idle_after, "rotate_every": settings.rotate_every})
