"""Dreams tab: the dreams by visibility, with the operator's actions on each."""

from collections.abc import Mapping

import streamlit as st

from display.console.actions import run_action
from display.console.context import ConsoleContext, console_fragment
from display.console.prints_tab import has_printer, order_print
from display.state.dream_index import Dream
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.screens import Content, toggle_dream
from shared.storage.sidecar import ModerationScores, Visibility
from shared.storage.store import StoreError

#: Dreams on one page of the tab.
CONSOLE_PAGE_SIZE = 24

_GRID_COLUMNS = 4

_ALL_DREAMS = "all"


@console_fragment()
def render_dreams(context: ConsoleContext, texts: Mapping[str, str]) -> None:
    """Draw one page of the dreams of the chosen visibility, newest first, each with its buttons."""
    all_dreams = context.event_hub.dream_index.list_all()
    visibilities = (Visibility.HELD, Visibility.SHOWN, Visibility.HIDDEN)
    counts = {
        visibility.value: sum(dream.visibility is visibility for dream in all_dreams) for visibility in visibilities
    }
    labels = {name: texts[f"which_{name}"].format(count=number) for name, number in counts.items()}
    labels |= {_ALL_DREAMS: texts["which_all"].format(count=len(all_dreams))}
    toolbar = st.columns([5, 2, 2, 2], vertical_alignment="bottom")
    selected = toolbar[0].segmented_control(
        texts["which"],
        list(labels),
        default="held" if counts["held"] else _ALL_DREAMS,
        format_func=labels.__getitem__,
        key="standing",
    )
    dreams = [dream for dream in all_dreams if selected in (None, _ALL_DREAMS, dream.visibility.value)]
    pages = max(1, -(-len(dreams) // CONSOLE_PAGE_SIZE))
    page = toolbar[1].number_input(texts["page"].format(pages=pages), 1, pages, key="page")
    toolbar[2].button(texts["refresh"], width="stretch")
    if selected == "held" and dreams and toolbar[3].button(texts["approve_all"], width="stretch"):
        run_action(lambda: _approve(context, dreams), texts["are_shown"].format(count=len(dreams)))
    if not dreams:
        st.caption(texts["none"])
    can_print = has_printer(context)
    first_of_page = (page - 1) * CONSOLE_PAGE_SIZE
    reasons = _explain_holds(context, dreams[first_of_page : first_of_page + CONSOLE_PAGE_SIZE], texts)
    for start in range(0, min(CONSOLE_PAGE_SIZE, len(dreams)), _GRID_COLUMNS):
        first = first_of_page + start
        for column, dream in zip(st.columns(_GRID_COLUMNS), dreams[first : first + _GRID_COLUMNS], strict=False):
            with column.container(border=True):
                _render_dream(context, dream, reasons.get(dream.job_id, ""), texts, can_print=can_print)


def _explain_holds(context: ConsoleContext, dreams: list[Dream], texts: Mapping[str, str]) -> dict[str, str]:
    """Return why each held dream waits for the operator, by job id; nothing while the store is unavailable."""
    held = [dream.job_id for dream in dreams if dream.visibility is Visibility.HELD]
    try:
        scores_by_job = context.event_hub.moderation.read_scores(held)
    except StoreError:
        return {}
    return {job_id: _explain_hold(scores, texts) for job_id, scores in scores_by_job.items()}


def _explain_hold(scores: ModerationScores | None, texts: Mapping[str, str]) -> str:
    if scores is None or not scores.needs_approval:
        return texts["held_by_approval"]
    if scores.failed:
        return texts["held_unscored"]
    by_picture = {"photo": scores.photo, "frames": scores.frames, "dream": scores.dream}
    listed = [
        texts[f"scored_{picture}"].format(score=f"{score:.2f}")
        for picture, score in by_picture.items()
        if score is not None
    ]
    return texts["held_by_score"].format(score=f"{scores.highest:.2f}", scores=", ".join(listed))


def _approve(context: ConsoleContext, dreams: list[Dream]) -> None:
    for dream in dreams:
        context.event_hub.moderation.show(dream.job_id)


def _render_dream(
    context: ConsoleContext, dream: Dream, reason: str, texts: Mapping[str, str], *, can_print: bool
) -> None:
    """Draw a dream with its buttons. reason: why it waits for the operator, "" if it does not."""
    moderation, job_id = context.event_hub.moderation, dream.job_id
    st.markdown(
        f'<a href="/console/pictures/{job_id}/dream.jpg" target="_blank">'
        f'<img src="/console/pictures/{job_id}/thumb.jpg" alt="{texts["alt"].format(job=job_id[:8])}" loading="lazy" '
        'style="width:100%;aspect-ratio:4/3;object-fit:contain;background:#000"></a>',
        unsafe_allow_html=True,
    )
    st.caption(f"{dream.title} · {dream.day} · {texts[f'standing_{dream.visibility}']} · {job_id[:8]}")
    if reason:
        st.markdown(f":small[{reason}]  \n:small[[{texts['see_photo']}](/console/pictures/{job_id}/photo.jpg)]")
    with st.container(horizontal=True, gap="small"):
        if dream.visibility is Visibility.SHOWN:
            if st.button(texts["hide"], key=f"hide-{job_id}"):
                run_action(lambda: moderation.hide(job_id), texts["is_hidden"])
            if can_print and st.button(texts["print"], key=f"print-{job_id}"):
                run_action(lambda: order_print(context, job_id, texts), texts["print_ordered"])
        else:
            label = texts["approve" if dream.visibility is Visibility.HELD else "show"]
            if st.button(label, key=f"show-{job_id}", type="primary"):
                run_action(lambda: moderation.show(job_id), texts["is_shown"])
        with st.popover(texts["delete"]):
            st.markdown(texts["delete_more"])
            if st.button(texts["delete_sure"], key=f"delete-{job_id}", type="primary"):
                run_action(lambda: moderation.delete(job_id), texts["is_deleted"])
        with st.popover(texts["again"]):
            recipe = st.selectbox(
                texts["recipe"], [*list_recipe_names(), *painters_by_recipe()], key=f"recipe-{job_id}"
            )
            if st.button(texts["dream_again"], key=f"again-{job_id}"):
                run_action(lambda: moderation.resubmit_with_recipe(job_id, recipe), texts["waits_again"])
        if chosen_screens := [
            name for name, screen in context.event_hub.screens.by_name.items() if screen.content is Content.CHOSEN
        ]:
            with st.popover(texts["screens"]):
                for name in chosen_screens:
                    _render_screen_choice(context, dream, name, texts)


def _render_screen_choice(context: ConsoleContext, dream: Dream, name: str, texts: Mapping[str, str]) -> None:
    """Draw the button that adds a dream to a screen with chosen dreams, or removes it."""
    screens = context.event_hub.screens.by_name
    is_chosen = dream.job_id in screens[name].dreams
    label, result = ("screen_remove", "screen_removed") if is_chosen else ("screen_add", "screen_added")
    if st.button(texts[label].format(screen=name), key=f"screen-{name}-{dream.job_id}"):
        run_action(
            lambda: context.event_hub.moderation.change_settings(screens=toggle_dream(screens, name, dream.job_id)),
            texts[result].format(screen=name),
        )
