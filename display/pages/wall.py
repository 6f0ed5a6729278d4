"""The wall: a Streamlit page with one component, which draws everything from the event feed."""

import streamlit as st
from streamlit.components.v2 import component

from display.i18n import get_guest_texts
from display.web.html import read_component
from display.web.script_bundle import bundle_scripts
from shared.screens import parse_screen_name
from shared.settings import Settings

settings = Settings.read()
texts = get_guest_texts(st.query_params.get("lang", settings.language))
st.set_page_config(page_title=texts["name"], page_icon=read_component("common/icon.svg"), layout="wide")
wall = component(
    "artdream_wall",
    html=read_component("wall/wall.html"),
    css=read_component("common/tokens.css") + read_component("wall/wall.css"),
    js=bundle_scripts("wall/wall.js"),
)
wall(
    key="wall",
    data={
        "texts": texts,
        "idle_after": settings.idle_after,
        "rotate_every": settings.rotate_every,
        "reports_paint": settings.tracing,
        "screen": parse_screen_name(st.query_params.get("screen", "")),
    },
)
