"""How the installation does, by the second."""

import streamlit as st

from display.desk import Desk
from shared.broker import AWAY, connect
from shared.jobs import Lane
from shared.presence import Part, Presence, Register
from shared.queue import waiting
from shared.steering import read_steering
from shared.store import Store, StoreError


@st.fragment(run_every=2.0)
def show_health(desk: Desk) -> None:
    """Draw what runs, what waits and how long things take."""
    gauge, now = desk.feed.gauge, desk.feed.now
    try:
        with connect(desk.settings.broker) as client:
            present = Register(client).present()
            lanes = {lane: waiting(client, lane) for lane in Lane}
            steering = read_steering(client, desk.settings)
    except AWAY as error:
        st.error(f"The broker is away: {error}. Photos wait in the producer's spool; nothing is lost.")
        return
    try:
        Store(desk.settings.store).get("tombstones/none")
    except StoreError as error:
        st.error(f"The store is away: {error}")
    if steering.paused:
        st.warning("The intake is paused: photos wait in the spool.")
    if steering.approval:
        held = sum(dream.standing == "held" for dream in desk.feed.archive.everything())
        st.info(f"Every dream waits for approval; {held} wait now.")
    workers = [one for one in present if one.part is Part.WORKER]
    if not workers:
        st.error("No worker is there: dreams wait until one comes.")
    figures: dict[str, int | str] = {
        "live waiting": lanes[Lane.LIVE],
        "batch waiting": lanes[Lane.BATCH],
        "oldest waits": _span(gauge.oldest_wait(now)),
        "dreams a minute": f"{gauge.per_minute(now):.1f}",
        "dreams": len(desk.feed.archive.everything()),
    }
    with st.container(horizontal=True, gap="large"):
        for name, figure in figures.items():
            st.metric(name, figure, width="content")
    st.markdown("#### Parts")
    st.dataframe(
        [
            {
                "part": one.part.value,
                "name": one.name,
                "state": one.state if gauge.consumes(one, now) else "does not consume",
                "for": _span(now - one.since),
                "detail": one.detail,
                "": _mark(one, healthy=gauge.consumes(one, now)),
            }
            for one in present
        ],
        hide_index=True,
        width="stretch",
    )
    stuck = [one.name for one in workers if not gauge.consumes(one, now)]
    if stuck:
        st.error(f"{', '.join(stuck)}: alive, but jobs wait and none is taken. Restart this worker.")
    st.markdown("#### Seconds by stage, of the last dreams")
    rows = [
        {"stage": stage.value, "median": round(p50, 2), "95 %": round(p95, 2)} for stage, p50, p95 in gauge.stages()
    ]
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")
    else:
        st.caption("No dream since the display looked.")


def _mark(one: Presence, *, healthy: bool) -> str:
    if not healthy:
        return "✗"
    return "…" if one.state == "warming up" else "✓"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
