"""The console's page. Whoever has not let themselves in at the entrance sees nothing here."""

import streamlit as st

from display.console.dreams import show_dreams
from display.console.faults import show_faults
from display.console.health import show_health
from display.console.helm import show_helm
from display.desk import desk_of
from display.words import console_words
from shared.settings import Settings

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

title, lock = st.columns([4, 1], vertical_alignment="bottom")
title.markdown(f"## {spoken['title']}")
lock.markdown(f'<a href="/console/leave{asked}" target="_self">{spoken["lock"]}</a>', unsafe_allow_html=True)
now, dreams, faults, helm = st.tabs([spoken[name] for name in ("now", "dreams", "faults", "steering")])
with now:
    show_health(desk, spoken)
with dreams:
    show_dreams(desk, spoken)
with faults:
    show_faults(desk, spoken)
with helm:
    show_helm(desk, spoken)
