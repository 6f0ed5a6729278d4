"""What the operator decides for the whole installation."""

import shutil

import streamlit as st

from display.console.act import act
from display.desk import Desk
from shared.broker import AWAY, connect
from shared.recipe import recipe_names
from shared.steering import read_steering


@st.fragment
def show_helm(desk: Desk) -> None:
    """Draw the switches, as they stand."""
    try:
        with connect(desk.settings.broker) as client:
            steering = read_steering(client, desk.settings)
    except AWAY:
        st.caption("The broker is away.")
        return
    with st.form("steering", border=False):
        approval = st.toggle("Approve every dream before anybody sees it", steering.approval)
        paused = st.toggle("Pause the intake: photos wait where they are", steering.paused)
        recipes = st.multiselect(
            f"Recipes, turn about (none: “{desk.settings.recipe}”)", recipe_names(), list(steering.recipes)
        )
        days = st.number_input(
            "Delete dreams and photos after so many days (0: never)", 0, 3650, steering.retention_days
        )
        if st.form_submit_button("Apply", type="primary"):
            decided = {"approval": approval, "paused": paused, "recipes": tuple(recipes), "retention_days": days}
            act(lambda: desk.feed.curator.steer(**decided), "Applied.")
    st.divider()
    left, right = st.columns(2)
    with left:
        st.markdown("#### Event")
        st.markdown('<a href="/console/export.zip">Save all dreams as a zip</a>', unsafe_allow_html=True)
        with st.popover("Begin a new event"):
            st.markdown(
                "Wall and gallery begin empty. Nothing is deleted: links and the console still have every dream."
            )
            if st.button("Begin", type="primary"):
                act(desk.feed.curator.open_event, "The walls are empty.")
        if steering.opened_at and st.button("Show earlier events again"):
            act(lambda: desk.feed.curator.steer(opened_at=0.0), "Every dream is shown.")
    with right:
        st.markdown("#### Disk")
        usage = shutil.disk_usage(desk.settings.data if desk.settings.data.exists() else ".")
        st.progress(usage.used / usage.total, f"{usage.free / 1e9:.1f} GB free on the disk of the data folder")
