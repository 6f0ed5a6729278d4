"""Status tab: components, queues, throughput, stage times and warnings, refreshed every two seconds."""

from collections.abc import Mapping

import streamlit as st

from display.console.context import ConsoleContext, console_fragment
from shared.broker.client import BROKER_OUTAGE
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.rejected_messages import read_rejection_counts
from shared.monitoring.heartbeat import Component, Heartbeat, HeartbeatRegistry
from shared.runtime_settings import read_runtime_settings
from shared.storage.store import Store, StoreError


@console_fragment(run_every=2.0)
def render_status(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the warnings, the figures, the table of components, and the table of stage times."""
    statistics, now = context.event_hub.statistics, context.event_hub.now
    try:
        client = context.event_hub.broker.get()
        heartbeats = HeartbeatRegistry(client).list_heartbeats()
        queued = {lane: count_queued(client, lane) for lane in Lane}
        runtime_settings = read_runtime_settings(client, context.settings)
        rejected = sum(read_rejection_counts(client).values())
    except BROKER_OUTAGE as error:
        st.error(texts["broker_away"].format(error=error))
        return
    try:
        Store(context.settings.store).get("tombstones/none")
    except StoreError as error:
        st.error(texts["store_away"].format(error=error))
    if runtime_settings.paused:
        st.warning(texts["is_paused"])
    held = sum(dream.visibility == "held" for dream in context.event_hub.dream_index.list_all())
    if runtime_settings.approval or held:  # moderation holds some also without approval of all
        st.info(texts["is_approval" if runtime_settings.approval else "is_held"].format(count=held))
    if statistics.unreadable_events:
        st.warning(texts["unread"].format(count=statistics.unreadable_events))
    if rejected:
        st.warning(texts["rejected"].format(count=rejected))
    workers = [heartbeat for heartbeat in heartbeats if heartbeat.part is Component.WORKER]
    if not workers:
        st.error(texts["no_worker"])
    figures: dict[str, int | str] = {
        "live_waiting": queued[Lane.LIVE],
        "batch_waiting": queued[Lane.BATCH],
        "oldest_waits": _format_duration(statistics.compute_oldest_wait(now)),
        "per_minute": f"{statistics.compute_dreams_per_minute(now):.1f}",
        "count": len(context.event_hub.dream_index.list_all()),
    }
    with st.container(horizontal=True, gap="medium"):
        for name, figure in figures.items():
            st.metric(texts[name], figure, width="content")
    st.markdown(f"#### {texts['parts']}")
    st.dataframe(
        [
            {
                texts["part"]: texts[f"part_{heartbeat.part}"],
                texts["name"]: heartbeat.name,
                texts["state"]: (
                    _translate_state(heartbeat, texts)
                    if statistics.is_consuming(heartbeat, now)
                    else texts["state_idle"]
                ),
                texts["for"]: _format_duration(now - heartbeat.since),
                texts["detail"]: heartbeat.detail,
                "": _select_mark(heartbeat, is_healthy=statistics.is_consuming(heartbeat, now)),
            }
            for heartbeat in heartbeats
        ],
        hide_index=True,
        width="stretch",
    )
    stuck = [worker.name for worker in workers if not statistics.is_consuming(worker, now)]
    if stuck:
        st.error(texts["stuck"].format(names=", ".join(stuck)))
    st.markdown(f"#### {texts['stages']}")
    rows = [
        {texts["stage"]: texts[f"stage_{stage}"], texts["median"]: p50, "95 %": p95}
        for stage, p50, p95 in statistics.summarize_stages()
    ]
    if rows:
        seconds_column = st.column_config.NumberColumn(format="%.2f")
        column_config = {texts["median"]: seconds_column, "95 %": seconds_column}
        st.dataframe(rows, hide_index=True, width="content", column_config=column_config)
    else:
        st.caption(texts["no_stages"])


def _translate_state(heartbeat: Heartbeat, texts: Mapping[str, str]) -> str:
    return texts.get(f"state_{heartbeat.state}", heartbeat.state)


def _select_mark(heartbeat: Heartbeat, *, is_healthy: bool) -> str:
    is_out_of_order = heartbeat.part is Component.PRINTER and heartbeat.state not in ("ready", "printing", "standby")
    if not is_healthy or is_out_of_order or heartbeat.state == "failed":
        return "✗"
    return "…" if heartbeat.state == "warming up" else "✓"


def _format_duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
