"""What the operator decides for the whole installation."""

import shutil
import time
from collections.abc import Mapping

import streamlit as st

from display.console.actions import act
from display.console.context import Desk
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.runtime_settings import read_runtime_settings


@st.fragment
def show_helm(desk: Desk, spoken: Mapping[str, str]) -> None:
    """Draw the switches, as they stand."""
    try:
        with connect(desk.settings.broker) as client:
            steering = read_runtime_settings(client, desk.settings)
    except BROKER_UNAVAILABLE:
        st.caption(spoken["helm_away"])
        return
    with st.form("steering", border=False):
        approval = st.toggle(spoken["approval"], steering.approval)
        paused = st.toggle(spoken["paused"], steering.paused)
        recipes = st.multiselect(
            spoken["recipes"].format(recipe=desk.settings.recipe),
            [*list_recipe_names(), *painters_by_recipe()],
            list(steering.recipes),
            placeholder=spoken["recipes_none"],
        )
        days = st.number_input(spoken["retention"], 0, 3650, steering.retention_days)
        if st.form_submit_button(spoken["apply"], type="primary"):
            decided = {"approval": approval, "paused": paused, "recipes": tuple(recipes), "retention_days": days}
            act(lambda: desk.feed.curator.steer(**decided), spoken["applied"])
    st.divider()
    left, right = st.columns(2)
    with left:
        st.markdown(f"#### {spoken['event']}")
        st.markdown(f'<a href="/console/export.zip">{spoken["export"]}</a>', unsafe_allow_html=True)
        with st.popover(spoken["open_event"]):
            st.markdown(spoken["open_event_more"])
            if st.button(spoken["begin"], type="primary"):
                act(desk.feed.curator.open_event, spoken["walls_empty"])
        if steering.opened_at and st.button(spoken["show_earlier"]):
            act(lambda: desk.feed.curator.steer(opened_at=0.0), spoken["all_shown"])
    with right:
        st.markdown(f"#### {spoken['disk']}")
        _show_store(desk, spoken)
        usage = shutil.disk_usage(desk.settings.data if desk.settings.data.exists() else ".")
        st.progress(usage.used / usage.total, spoken["disk_free"].format(free=f"{usage.free / 1e9:.1f}"))


def _show_store(desk: Desk, spoken: Mapping[str, str]) -> None:
    count = desk.tally.latest
    if count is None:
        st.caption(spoken["store_counting"])
        return
    size, clock = _size(count.size), time.strftime("%H:%M", time.localtime(count.at))
    st.markdown(spoken["store_holds"].format(size=size, count=f"{count.objects:,}", time=clock))
    columns = [spoken[name] for name in ("store_kind", "store_size", "store_objects")]
    rows = [
        dict(zip(columns, (spoken[f"kind_{kind}"], _size(held.size), held.objects), strict=True))
        for kind, held in count.kinds.items()
    ]
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")


def _size(size: float) -> str:
    for unit, many in (("GB", 1e9), ("MB", 1e6)):
        if size >= many:
            return f"{size / many:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"
