"""How the installation does, by the second."""

from collections.abc import Mapping

import streamlit as st

from display.console.context import Desk
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.rejected_messages import read_rejection_counts
from shared.monitoring.heartbeat import Component, Heartbeat, HeartbeatRegistry
from shared.runtime_settings import read_runtime_settings
from shared.storage.store import Store, StoreError


@st.fragment(run_every=2.0)
def show_health(desk: Desk, spoken: Mapping[str, str]) -> None:
    """Draw what runs, what waits and how long things take."""
    gauge, now = desk.feed.gauge, desk.feed.now
    try:
        with connect(desk.settings.broker) as client:
            present = HeartbeatRegistry(client).list_heartbeats()
            lanes = {lane: count_queued(client, lane) for lane in Lane}
            steering = read_runtime_settings(client, desk.settings)
            rejected = sum(read_rejection_counts(client).values())
    except BROKER_UNAVAILABLE as error:
        st.error(spoken["broker_away"].format(error=error))
        return
    try:
        Store(desk.settings.store).get("tombstones/none")
    except StoreError as error:
        st.error(spoken["store_away"].format(error=error))
    if steering.paused:
        st.warning(spoken["is_paused"])
    if steering.approval:
        held = sum(dream.standing == "held" for dream in desk.feed.archive.everything())
        st.info(spoken["is_approval"].format(count=held))
    if gauge.unread:
        st.warning(spoken["unread"].format(count=gauge.unread))
    if rejected:
        st.warning(spoken["rejected"].format(count=rejected))
    workers = [one for one in present if one.part is Component.WORKER]
    if not workers:
        st.error(spoken["no_worker"])
    figures: dict[str, int | str] = {
        "live_waiting": lanes[Lane.LIVE],
        "batch_waiting": lanes[Lane.BATCH],
        "oldest_waits": _span(gauge.oldest_wait(now)),
        "per_minute": f"{gauge.per_minute(now):.1f}",
        "count": len(desk.feed.archive.everything()),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, figure in figures.items():
            st.metric(spoken[name], figure, width="content")
    st.markdown(f"#### {spoken['parts']}")
    st.dataframe(
        [
            {
                spoken["part"]: spoken[f"part_{one.part}"],
                spoken["name"]: one.name,
                spoken["state"]: _state(one, spoken) if gauge.consumes(one, now) else spoken["state_idle"],
                spoken["for"]: _span(now - one.since),
                spoken["detail"]: one.detail,
                "": _mark(one, healthy=gauge.consumes(one, now)),
            }
            for one in present
        ],
        hide_index=True,
        width="stretch",
    )
    stuck = [one.name for one in workers if not gauge.consumes(one, now)]
    if stuck:
        st.error(spoken["stuck"].format(names=", ".join(stuck)))
    st.markdown(f"#### {spoken['stages']}")
    rows = [
        {spoken["stage"]: spoken[f"stage_{stage}"], spoken["median"]: p50, "95 %": p95}
        for stage, p50, p95 in gauge.stages()
    ]
    if rows:
        seconds = st.column_config.NumberColumn(format="%.2f")
        columns = {spoken["median"]: seconds, "95 %": seconds}
        st.dataframe(rows, hide_index=True, width="content", column_config=columns)
    else:
        st.caption(spoken["no_stages"])


def _state(one: Heartbeat, spoken: Mapping[str, str]) -> str:
    return spoken.get(f"state_{one.state}", one.state)


def _mark(one: Heartbeat, *, healthy: bool) -> str:
    if not healthy:
        return "✗"
    return "…" if one.state == "warming up" else "✓"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
