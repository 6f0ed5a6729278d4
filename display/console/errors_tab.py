"""Errors tab: failed jobs and rejected files with their reasons, buttons to retry them, and webhooks that fail."""

import time
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from display.console.actions import run_action
from display.console.context import ConsoleContext, console_fragment
from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.storage.quarantine import list_quarantined, restore_to_inbox
from shared.storage.store import Store
from shared.webhooks.overview import read_webhook_overview


@console_fragment()
def render_errors(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the failed jobs, the rejected files in this machine's quarantine, and those of other machines."""
    st.button(texts["refresh"], key="refresh-faults")
    errors = context.event_hub.statistics.list_errors()
    failed_jobs = [error for error in errors if error.job_id]
    st.markdown(f"#### {texts['failed'].format(count=len(failed_jobs))}")
    for error in failed_jobs:
        text_column, button_column = st.columns([6, 1], vertical_alignment="center")
        text_column.markdown(f"{_format_time(error.at)} · `{error.job_id[:8]}`")
        text_column.text(error.reason)
        if button_column.button(texts["try_again"], key=f"retry-{error.job_id}", width="stretch"):
            run_action(lambda error=error: context.event_hub.moderation.retry(error.job_id), texts["in_lane"])  # type: ignore[misc]
    files = list_quarantined(context.settings.data)
    st.markdown(f"#### {texts['set_aside'].format(count=len(files))}")
    for reason_file, reason in files:
        text_column, button_column = st.columns([6, 1], vertical_alignment="center")
        text_column.text(reason)
        if button_column.button(texts["try_again"], key=f"back-{reason_file.name}", width="stretch"):
            run_action(
                lambda reason_file=reason_file: _requeue_file(context, reason_file, texts),  # type: ignore[misc]
                texts["in_inbox"],
            )
    # The same rejection is in the quarantine and in the event stream: only those of other machines are left.
    rejected_elsewhere = [
        error for error in errors if error.file and not any(reason.startswith(error.file) for _, reason in files)
    ]
    if rejected_elsewhere:
        st.markdown(f"#### {texts['set_aside_elsewhere']}")
        for error in rejected_elsewhere:
            st.text(f"{_format_time(error.at)}  {error.file} {error.reason}.")
    _render_webhooks(context, texts)


def _render_webhooks(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw a sentence for each webhook that fails or is disabled, if there is one."""
    try:
        client = context.event_hub.broker.get()
        overview = read_webhook_overview(client, Store(context.settings.store))
    except (*BROKER_OUTAGE, ArtDreamError):
        return  # the other tabs say that the broker is unavailable
    if overview.problems or overview.given_up:
        st.markdown(f"#### {texts['webhooks'].format(waiting=overview.waiting, given_up=overview.given_up)}")
    for problem in overview.problems:
        st.text(problem)


def _requeue_file(context: ConsoleContext, reason_file: Path, texts: Mapping[str, str]) -> None:
    try:
        restore_to_inbox(reason_file, context.settings.inbox)
    except OSError as error:
        raise ArtDreamError(texts["no_inbox"].format(error=error.strerror or error)) from error


def _format_time(timestamp: float) -> str:
    return time.strftime("%a %H:%M:%S", time.localtime(timestamp))
