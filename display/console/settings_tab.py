"""Settings tab: runtime settings, export, storage usage."""

import shutil
import time
from collections.abc import Mapping

import streamlit as st

from display.console.actions import run_action
from display.console.canary_settings import render_canary
from display.console.context import ConsoleContext, console_fragment, read_settings
from display.console.prints_tab import has_printer
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.runtime_settings import RuntimeSettings


@console_fragment()
def render_settings(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw the form with the current runtime settings, and what the store holds below it."""
    runtime_settings = read_settings(context, texts)
    if runtime_settings is None:
        return
    with st.form("steering", border=False):
        approval = st.toggle(texts["approval"], runtime_settings.approval)
        paused = st.toggle(texts["paused"], runtime_settings.paused)
        options = [*list_recipe_names(), *painters_by_recipe()]
        recipes = st.multiselect(
            texts["recipes"].format(recipe=context.settings.recipe),
            options,
            [name for name in runtime_settings.recipes if name in options],  # another version may have had others
            placeholder=texts["recipes_none"],
        )
        days = st.number_input(texts["retention"], 0, 3650, runtime_settings.retention_days)
        print_changes = _render_print_settings(context, runtime_settings, texts) if has_printer(context) else {}
        if st.form_submit_button(texts["apply"], type="primary"):
            changes = {"approval": approval, "paused": paused, "recipes": tuple(recipes), "retention_days": days}
            changes |= print_changes
            run_action(lambda: context.event_hub.moderation.change_settings(**changes), texts["applied"])
    st.divider()
    render_canary(context, runtime_settings, texts)
    st.divider()
    st.markdown(f"#### {texts['disk']}")
    sums_column, kinds_column = st.columns(2)
    with sums_column:
        _render_storage_sums(context, texts)
        st.markdown(f'<a href="/console/export.zip">{texts["export"]}</a>', unsafe_allow_html=True)
        usage = shutil.disk_usage(context.settings.data if context.settings.data.exists() else ".")
        st.progress(usage.used / usage.total, texts["disk_free"].format(free=f"{usage.free / 1e9:.1f}"))
    with kinds_column:
        _render_storage_by_kind(context, texts)


def _render_print_settings(
    context: ConsoleContext, runtime_settings: RuntimeSettings, texts: Mapping[str, str]
) -> dict[str, object]:
    """Draw the settings of prints in the form; return them as they are in the form."""
    is_automatic = st.toggle(texts["print_automatic"], runtime_settings.print_since > 0)
    return {
        "print_since": (runtime_settings.print_since or context.event_hub.now) if is_automatic else 0.0,
        "prints_per_guest": st.number_input(texts["prints_per_guest"], 0, 1000, runtime_settings.prints_per_guest),
        "prints_per_event": st.number_input(texts["prints_per_event"], 0, 100_000, runtime_settings.prints_per_event),
    }


def _render_storage_sums(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    snapshot = context.storage_usage.latest
    if snapshot is None:
        st.caption(texts["store_counting"])
        return
    size, counted_at = _format_size(snapshot.size), time.strftime("%H:%M", time.localtime(snapshot.at))
    st.markdown(texts["store_holds"].format(size=size, count=f"{snapshot.objects:,}", time=counted_at))


def _render_storage_by_kind(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    snapshot = context.storage_usage.latest
    if snapshot is None or not snapshot.kinds:
        return
    columns = [texts[name] for name in ("store_kind", "store_size", "store_objects")]
    rows = [
        dict(zip(columns, (texts[f"kind_{kind}"], _format_size(usage.size), usage.objects), strict=True))
        for kind, usage in snapshot.kinds.items()
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def _format_size(size: float) -> str:
    for unit, unit_bytes in (("GB", 1e9), ("MB", 1e6)):
        if size >= unit_bytes:
            return f"{size / unit_bytes:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"
