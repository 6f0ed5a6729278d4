"""How the installation does, by the second."""

from collections.abc import Mapping

import streamlit as st

from display.console.context import ConsoleContext
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.rejected_messages import read_rejection_counts
from shared.monitoring.heartbeat import Component, Heartbeat, HeartbeatRegistry
from shared.runtime_settings import read_runtime_settings
from shared.storage.store import Store, StoreError


@st.fragment(run_every=2.0)
def render_status(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw what runs, what waits and how long things take."""
    gauge, now = context.event_hub.statistics, context.event_hub.now
    try:
        with connect(context.settings.broker) as client:
            present = HeartbeatRegistry(client).list_heartbeats()
            lanes = {lane: count_queued(client, lane) for lane in Lane}
            steering = read_runtime_settings(client, context.settings)
            rejected = sum(read_rejection_counts(client).values())
    except BROKER_UNAVAILABLE as error:
        st.error(texts["broker_away"].format(error=error))
        return
    try:
        Store(context.settings.store).get("tombstones/none")
    except StoreError as error:
        st.error(texts["store_away"].format(error=error))
    if steering.paused:
        st.warning(texts["is_paused"])
    if steering.approval:
        held = sum(dream.visibility == "held" for dream in context.event_hub.dream_index.list_all())
        st.info(texts["is_approval"].format(count=held))
    if gauge.unreadable_events:
        st.warning(texts["unread"].format(count=gauge.unreadable_events))
    if rejected:
        st.warning(texts["rejected"].format(count=rejected))
    workers = [one for one in present if one.part is Component.WORKER]
    if not workers:
        st.error(texts["no_worker"])
    figures: dict[str, int | str] = {
        "live_waiting": lanes[Lane.LIVE],
        "batch_waiting": lanes[Lane.BATCH],
        "oldest_waits": _format_duration(gauge.compute_oldest_wait(now)),
        "per_minute": f"{gauge.compute_dreams_per_minute(now):.1f}",
        "count": len(context.event_hub.dream_index.list_all()),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, figure in figures.items():
            st.metric(texts[name], figure, width="content")
    st.markdown(f"#### {texts['parts']}")
    st.dataframe(
        [
            {
                texts["part"]: texts[f"part_{one.part}"],
                texts["name"]: one.name,
                texts["state"]: _translate_state(one, texts) if gauge.is_consuming(one, now) else texts["state_idle"],
                texts["for"]: _format_duration(now - one.since),
                texts["detail"]: one.detail,
                "": _select_mark(one, is_healthy=gauge.is_consuming(one, now)),
            }
            for one in present
        ],
        hide_index=True,
        width="stretch",
    )
    stuck = [one.name for one in workers if not gauge.is_consuming(one, now)]
    if stuck:
        st.error(texts["stuck"].format(names=", ".join(stuck)))
    st.markdown(f"#### {texts['stages']}")
    rows = [
        {texts["stage"]: texts[f"stage_{stage}"], texts["median"]: p50, "95 %": p95}
        for stage, p50, p95 in gauge.summarize_stages()
    ]
    if rows:
        seconds = st.column_config.NumberColumn(format="%.2f")
        columns = {texts["median"]: seconds, "95 %": seconds}
        st.dataframe(rows, hide_index=True, width="content", column_config=columns)
    else:
        st.caption(texts["no_stages"])


def _translate_state(heartbeat: Heartbeat, texts: Mapping[str, str]) -> str:
    return texts.get(f"state_{heartbeat.state}", heartbeat.state)


def _select_mark(heartbeat: Heartbeat, *, is_healthy: bool) -> str:
    if not is_healthy:
        return "✗"
    return "…" if heartbeat.state == "warming up" else "✓"


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
