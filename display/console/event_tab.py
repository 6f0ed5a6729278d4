"""Event tab: a form with the fields of the appearance, a preview of the wall, and the start of a new event."""

import hashlib
import html
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from streamlit.components.v2 import component

from display.console.actions import run_action
from display.console.context import ConsoleContext, console_fragment, read_settings
from display.i18n import get_guest_texts
from display.moderation import Moderation
from display.web.html import read_component
from display.web.theme import make_logo_url
from shared.appearance import MAX_TEXT_SCALE, MIN_TEXT_SCALE, Appearance, Theme, describe_validation_error

#: Characters above which a text gets a field of several lines.
_LONG_TEXT = 200

#: Guest texts that are used if a field is empty, by field.
_DEFAULT_TEXTS = {"title": "name", "idle_text": "invitation", "consent": "send_consent"}

_CHANGES_KEY = "event-changes"

_logo_upload = component(
    "artdream_logo_upload",
    html=read_component("console/logo_upload.html"),
    css=read_component("console/file_choice.css"),
    js=read_component("console/logo_upload.js"),
)


@console_fragment()
def render_event(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw a field for each of the appearance's, the preview of what they say, and the buttons.

    They save, go back to the event file, and start a new event.
    """
    runtime_settings = read_settings(context, texts)
    if runtime_settings is None:
        return
    current, moderation = runtime_settings.appearance, context.event_hub.moderation
    form_column, side_column = st.columns([3, 2], gap="large")
    with side_column:
        preview = st.container()
        st.divider()
        _render_opening(moderation, texts, has_earlier=runtime_settings.opened_at > 0)
    with form_column:
        # Widgets show the stored values again whenever these change, here or in another console. Streamlit may remember
        # what was in a widget of the same key before: none is used twice.
        version = f"{hashlib.sha256(current.model_dump_json().encode()).hexdigest()[:16]}-{_count_changes()}"
        values = {
            name: _render_field(name, field, current, f"event-{name}-{version}", texts)
            for name, field in Appearance.model_fields.items()
        }
    try:
        appearance = Appearance.model_validate(values)
    except ValidationError as error:
        st.error(describe_validation_error(error))
        return
    with preview:
        st.markdown(f"#### {texts['event_preview']}")
        st.html(_render_preview(appearance, texts))
        if appearance.is_accent_adjusted:
            st.caption(texts["accent_adjusted"].format(chosen=appearance.accent, used=appearance.colors.accent))
    with st.container(horizontal=True):
        if st.button(texts["apply"], type="primary", key="event-save", disabled=appearance == current):
            _change(lambda: moderation.change_appearance(appearance), texts)
        if runtime_settings.appearance_changes:
            label = texts["event_to_file" if context.settings.event else "event_to_default"]
            if st.button(label, key="event-reset"):
                _change(lambda: moderation.change_settings(appearance_changes={}), texts)


def _render_opening(moderation: Moderation, texts: Mapping[str, str], *, has_earlier: bool) -> None:
    """Draw the button that starts a new event once it is confirmed. has_earlier: whether earlier ones can be shown."""
    with st.popover(texts["open_event"], width="stretch"):
        st.markdown(texts["open_event_more"])
        if st.button(texts["begin"], type="primary"):
            run_action(moderation.open_event, texts["walls_empty"])
    if has_earlier and st.button(texts["show_earlier"], width="stretch"):
        run_action(lambda: moderation.change_settings(opened_at=0.0), texts["all_shown"])


def _count_changes() -> int:
    """Return how often this page has changed the appearance."""
    return int(st.session_state.get(_CHANGES_KEY, 0))


def _change(action: Callable[[], None], texts: Mapping[str, str]) -> None:
    def act() -> None:
        action()
        st.session_state[_CHANGES_KEY] = _count_changes() + 1  # only now: what cannot be saved stays in the form

    run_action(act, texts["applied"])


def _render_field(name: str, field: FieldInfo, current: Appearance, key: str, texts: Mapping[str, str]) -> Any:
    """Draw the widget of a field, and return its value."""
    label, value = texts[f"event_{name}"], getattr(current, name)
    if name == "logo":
        return _render_logo_field(label, current, key, texts)
    if name == "accent":
        default = current.colors.accent
        color = st.color_picker(label, value or default, key=key)
        return value if not value and color == default else color
    if isinstance(value, Theme):
        return st.radio(
            label, list(Theme), list(Theme).index(value), lambda theme: texts[f"theme_{theme}"], key, horizontal=True
        )
    if isinstance(value, float):
        return st.slider(label, MIN_TEXT_SCALE, MAX_TEXT_SCALE, value, 0.05, format="%.2f ×", key=key)
    limit = next(limit for part in field.metadata if (limit := getattr(part, "max_length", None)))
    default_key = _DEFAULT_TEXTS.get(name)
    placeholder = get_guest_texts(texts["language"])[default_key] if default_key else None
    if limit <= _LONG_TEXT:
        return st.text_input(label, value, limit, key=key, placeholder=placeholder)
    return " ".join(st.text_area(label, value, max_chars=limit, key=key, placeholder=placeholder).split())


def _render_logo_field(label: str, current: Appearance, key: str, texts: Mapping[str, str]) -> str:
    st.markdown(label)
    chosen = str(st.session_state.get(key, {}).get("logo", current.logo))
    data = {"logo": chosen} | {name: texts[f"logo_{name}"] for name in ("choose", "remove", "failed")}
    return str(_logo_upload(key=key, data=data, default={"logo": chosen}, on_logo_change=lambda: None).logo)


def _render_preview(appearance: Appearance, texts: Mapping[str, str]) -> str:
    """Return HTML that looks like the wall before the first dream, with the button of the upload page."""
    colors, scale = appearance.colors, appearance.text_scale
    guest_texts = get_guest_texts(texts["language"])
    logo = ""
    if appearance.logo:
        logo = f'<img src="{make_logo_url(appearance)}" alt="" style="max-width:60%;max-height:4rem">'
    lines = [
        (1.9, colors.ink, "normal", appearance.title or guest_texts["name"]),
        (1.0, colors.ink, "normal", appearance.subtitle),
        (1.0, colors.muted, "italic", appearance.idle_text or guest_texts["invitation"]),
        (0.8, colors.muted, "normal", appearance.consent or guest_texts["send_consent"]),
    ]
    paragraphs = "".join(
        f'<p style="margin:0;color:{color};font-size:{size * scale:.2f}rem;font-style:{style};line-height:1.2;'
        f'overflow-wrap:anywhere;text-wrap:balance">{html.escape(text)}</p>'
        for size, color, style, text in lines
        if text
    )
    action = colors.accent if appearance.accent else colors.ink
    return (
        f'<div style="background:{colors.ground};border:1px solid {colors.field_edge};border-radius:0.5rem;'
        'padding:2rem 1.5rem;display:grid;gap:0.9rem;justify-items:center;text-align:center">'
        f'{logo}{paragraphs}<span style="background:{action};color:{colors.ground};padding:0.5rem 1.4rem;'
        f'font-size:{scale:.2f}rem;border-radius:2px">{html.escape(guest_texts["send"])}</span></div>'
    )
