"""The console's page. Whoever has not let themselves in at the entrance sees nothing here."""

import streamlit as st

from display.console.context import desk_of
from display.console.dreams_tab import show_dreams
from display.console.errors_tab import show_faults
from display.console.settings_tab import show_helm
from display.console.status_tab import show_health
from display.i18n import console_words
from shared.settings import Settings

#: Streamlit writes white on the accent, which nobody can read there.
_INK = """<style>
button[data-testid^="stBaseButton-primary"], [data-testid="stMultiSelect"] [data-tag] * { color: #0b0a09 }
</style>"""

spoken = console_words(st.query_params.get("lang", Settings.read().language))
asked = f"?lang={spoken['language']}"
st.set_page_config(page_title=f"ArtDream – {spoken['title']}", layout="wide")
desk = desk_of(st.context.cookies.to_dict())
if desk is None:
    st.markdown("# ArtDream")
    st.markdown(
        f'{spoken["locked"]} <a href="/console{asked}" target="_self">{spoken["let_in"]}</a>.', unsafe_allow_html=True
    )
    st.stop()

st.html(_INK)
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
    st.markdown(f"## {spoken['title']}", width="content")
    lock = f'<a href="/console/leave{asked}" target="_self">{spoken["lock"]}</a>'
    st.markdown(lock, unsafe_allow_html=True, width="content")
now, dreams, faults, helm = st.tabs([spoken[name] for name in ("now", "dreams", "faults", "steering")])
with now:
    show_health(desk, spoken)
with dreams:
    show_dreams(desk, spoken)
with faults:
    show_faults(desk, spoken)
with helm:
    show_helm(desk, spoken)
