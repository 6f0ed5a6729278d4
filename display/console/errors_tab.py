"""What went wrong, why, and another try."""

import time
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from display.console.actions import run_action
from display.console.context import ConsoleContext
from shared.errors import ArtDreamError
from shared.storage.quarantine import list_quarantined, restore_to_inbox


@st.fragment
def render_errors(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the jobs that failed and the files that were set aside, newest first."""
    st.button(texts["refresh"], key="refresh-faults")
    faults = context.event_hub.statistics.list_errors()
    failed = [fault for fault in faults if fault.job_id]
    st.markdown(f"#### {texts['failed'].format(count=len(failed))}")
    for fault in failed:
        text, button = st.columns([6, 1], vertical_alignment="center")
        text.markdown(f"{_format_time(fault.at)} · `{fault.job_id[:8]}`")
        text.text(fault.reason)
        if button.button(texts["try_again"], key=f"retry-{fault.job_id}", width="stretch"):
            run_action(lambda fault=fault: context.event_hub.moderation.retry(fault.job_id), texts["in_lane"])  # type: ignore[misc]
    files = list_quarantined(context.settings.data)
    st.markdown(f"#### {texts['set_aside'].format(count=len(files))}")
    for note, reason in files:
        text, button = st.columns([6, 1], vertical_alignment="center")
        text.text(reason)
        if button.button(texts["try_again"], key=f"back-{note.name}", width="stretch"):
            run_action(lambda note=note: _requeue_file(context, note, texts), texts["in_inbox"])  # type: ignore[misc]
    elsewhere = [
        fault for fault in faults if fault.file and not any(reason.startswith(fault.file) for _, reason in files)
    ]
    if elsewhere:
        st.markdown(f"#### {texts['set_aside_elsewhere']}")
        for fault in elsewhere:
            st.text(f"{_format_time(fault.at)}  {fault.file} {fault.reason}.")


def _requeue_file(context: ConsoleContext, reason_file: Path, texts: Mapping[str, str]) -> None:
    try:
        restore_to_inbox(reason_file, context.settings.inbox)
    except OSError as error:
        raise ArtDreamError(texts["no_inbox"].format(error=error.strerror or error)) from error


def _format_time(timestamp: float) -> str:
    return time.strftime("%a %H:%M:%S", time.localtime(timestamp))
