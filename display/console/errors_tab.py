"""What went wrong, why, and another try."""

import time
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from display.console.actions import act
from display.console.context import Desk
from shared.errors import ArtDreamError
from shared.storage.quarantine import list_quarantined, restore_to_inbox


@st.fragment
def show_faults(desk: Desk, spoken: Mapping[str, str]) -> None:
    """Draw the jobs that failed and the files that were set aside, newest first."""
    st.button(spoken["refresh"], key="refresh-faults")
    faults = desk.feed.gauge.faults()
    failed = [fault for fault in faults if fault.job_id]
    st.markdown(f"#### {spoken['failed'].format(count=len(failed))}")
    for fault in failed:
        text, button = st.columns([6, 1], vertical_alignment="center")
        text.markdown(f"{_clock(fault.at)} · `{fault.job_id[:8]}`")
        text.text(fault.reason)
        if button.button(spoken["try_again"], key=f"retry-{fault.job_id}", width="stretch"):
            act(lambda fault=fault: desk.feed.curator.try_again(fault.job_id), spoken["in_lane"])  # type: ignore[misc]
    files = list_quarantined(desk.settings.data)
    st.markdown(f"#### {spoken['set_aside'].format(count=len(files))}")
    for note, reason in files:
        text, button = st.columns([6, 1], vertical_alignment="center")
        text.text(reason)
        if button.button(spoken["try_again"], key=f"back-{note.name}", width="stretch"):
            act(lambda note=note: _take_back(desk, note, spoken), spoken["in_inbox"])  # type: ignore[misc]
    elsewhere = [
        fault for fault in faults if fault.file and not any(reason.startswith(fault.file) for _, reason in files)
    ]
    if elsewhere:
        st.markdown(f"#### {spoken['set_aside_elsewhere']}")
        for fault in elsewhere:
            st.text(f"{_clock(fault.at)}  {fault.file} {fault.reason}.")


def _take_back(desk: Desk, note: Path, spoken: Mapping[str, str]) -> None:
    try:
        restore_to_inbox(note, desk.settings.inbox)
    except OSError as error:
        raise ArtDreamError(spoken["no_inbox"].format(error=error.strerror or error)) from error


def _clock(at: float) -> str:
    return time.strftime("%a %H:%M:%S", time.localtime(at))
