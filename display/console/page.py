"""The console's page. Whoever has not let themselves in at the entrance sees nothing here."""

import streamlit as st

from display.console.dreams import show_dreams
from display.console.faults import show_faults
from display.console.health import show_health
from display.console.helm import show_helm
from display.desk import desk_of

st.set_page_config(page_title="ArtDream console", layout="wide")
desk = desk_of(st.context.cookies.to_dict())
if desk is None:
    st.markdown("# ArtDream")
    st.markdown('The console is locked: <a href="/console" target="_self">let yourself in</a>.', unsafe_allow_html=True)
    st.stop()

st.markdown('## Console &nbsp; <small><a href="/console/leave" target="_self">Lock</a></small>', unsafe_allow_html=True)
now, dreams, faults, helm = st.tabs(["Now", "Dreams", "Faults", "Steering"])
with now:
    show_health(desk)
with dreams:
    show_dreams(desk)
with faults:
    show_faults(desk)
with helm:
    show_helm(desk)
