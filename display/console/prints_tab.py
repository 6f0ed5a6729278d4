"""Prints tab: the printer's state, the sheets that wait and those that came out, with buttons to cancel and repeat."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import streamlit as st

from display.console.actions import run_action
from display.console.context import ConsoleContext, console_fragment
from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.printing.prints import AUTOMATIC, CONSOLE, Print, PrintState
from shared.printing.records import cancel_print, persist_print
from shared.printing.table import PrintOutcome, PrintTable
from shared.runtime_settings import read_runtime_settings
from shared.storage.store import Store

#: Finished prints that the tab shows.
_FINISHED_COUNT = 40

#: Unfinished prints that the tab shows.
_QUEUE_COUNT = 60


def has_printer(context: ConsoleContext) -> bool:
    """Return whether something is or was printed lately; False while the broker is unavailable."""
    if context.settings.printer:
        return True
    try:
        return PrintTable(context.event_hub.broker.get()).get_printer() is not None
    except BROKER_OUTAGE:
        return False


@contextmanager
def _open_prints(context: ConsoleContext, texts: Mapping[str, str]) -> Iterator[PrintTable]:
    """Yield the table of prints. Raises ArtDreamError if the broker is unavailable."""
    try:
        yield PrintTable(context.event_hub.broker.get())
    except BROKER_OUTAGE as error:
        raise ArtDreamError(texts["helm_away"]) from error


def order_print(context: ConsoleContext, job_id: str, texts: Mapping[str, str]) -> None:
    """Order one more print of a dream. Raises ArtDreamError, also if the dream is not shown."""
    try:
        client = context.event_hub.broker.get()
        prints, event = PrintTable(client), read_runtime_settings(client, context.settings).opened_at
        first = len(prints.list_of_dream(job_id, CONSOLE)) + 1
        is_visible = context.event_hub.dream_index.is_visible(job_id)
        if not is_visible or (
            prints.request(context.settings, job_id, CONSOLE, event=event, first=first) is not PrintOutcome.ACCEPTED
        ):
            raise ArtDreamError(texts["print_hidden"])
        for record in prints.list_of_dream(job_id, CONSOLE)[first - 1 :]:
            persist_print(Store(context.settings.store), record)
    except BROKER_OUTAGE as error:
        raise ArtDreamError(texts["helm_away"]) from error


@console_fragment(run_every=2.0)
def render_prints(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the printer's state, the figures of the event, and the lists of prints."""
    try:
        client = context.event_hub.broker.get()
        prints = PrintTable(client)
        printer, queue, finished = prints.get_printer(), prints.list_queue(), prints.list_finished(_FINISHED_COUNT)
        counts = prints.count(read_runtime_settings(client, context.settings).opened_at)
    except BROKER_OUTAGE:
        st.caption(texts["helm_away"])
        return
    if printer is None:
        st.error(texts["no_printer"])
    elif not printer.is_working:
        message = f" ({printer.message.rstrip('.')})" if printer.message else ""
        st.error(f"{printer.name}: {texts.get(f'state_{printer.state}', printer.state)}{message}")
    with st.container(horizontal=True, gap="medium"):
        state = texts.get(f"state_{printer.state}", printer.state) if printer else "–"
        st.metric(texts["printer_state"], state, width="content")
        st.metric(texts["prints_waiting"], len(queue), width="content")
        st.metric(texts["prints_done"], counts.printed, width="content")
    st.markdown(f"#### {texts['print_queue'].format(count=len(queue))}")
    for record in queue[:_QUEUE_COUNT]:
        _render_print(context, record, texts)
    st.markdown(f"#### {texts['print_history']}")
    if not finished:
        st.caption(texts["print_none"])
    for record in finished:
        _render_print(context, record, texts)


def _render_print(context: ConsoleContext, record: Print, texts: Mapping[str, str]) -> None:
    picture_column, text_column, button_column = st.columns([1, 6, 2], vertical_alignment="center")
    picture_column.markdown(
        f'<img src="/console/pictures/{record.job_id}/thumb.jpg" alt="{texts["alt"].format(job=record.job_id[:8])}" '
        'loading="lazy" style="width:100%;max-height:4rem;object-fit:contain">',
        unsafe_allow_html=True,
    )
    requester = record.requester if record.requester in (AUTOMATIC, CONSOLE) else "guest"
    clock = time.strftime("%a %H:%M:%S", time.localtime(record.changed_at))
    text_column.markdown(
        f"{clock} · {texts[f'print_asked_{requester}']} · {texts[f'print_standing_{record.state}']} "
        f"· `{record.job_id[:8]}`"
    )
    if record.reason:
        text_column.text(record.reason)
    if record.is_finished:
        if button_column.button(texts["print_again"], key=f"again-{record.id}", width="stretch"):
            run_action(lambda: _repeat(context, record, texts), texts["print_ordered"])
    elif button_column.button(texts["print_cancel"], key=f"cancel-{record.id}", width="stretch"):
        run_action(lambda: _cancel(context, record, texts), texts["print_is_cancelled"])


def _cancel(context: ConsoleContext, record: Print, texts: Mapping[str, str]) -> None:
    with _open_prints(context, texts) as prints:
        if not cancel_print(prints, Store(context.settings.store), record, texts["print_cancelled_reason"]):
            raise ArtDreamError(texts["print_has_ended"])


def _repeat(context: ConsoleContext, record: Print, texts: Mapping[str, str]) -> None:
    if not context.event_hub.dream_index.is_visible(record.job_id):
        raise ArtDreamError(texts["print_hidden"])
    with _open_prints(context, texts) as prints:
        repeated = prints.retry(record)
        if repeated and repeated.state is PrintState.REQUESTED:
            persist_print(Store(context.settings.store), repeated)
