"""The state of a share link: everything that its holder may know. No other code decides this."""

from collections.abc import Callable

from display.pages.share_links import ShareLink
from display.state.event_hub import EventHub
from shared.storage.sidecar import Visibility

#: Returns the state of a link, None for one that is not valid. Its field `photo` is for the server alone.
DescribeLink = Callable[[ShareLink | None], dict[str, object]]


def describe_link(event_hub: EventHub, is_received: Callable[[str], bool], link: ShareLink | None) -> dict[str, object]:
    """Return the state of a link.

    is_received: returns whether the photo of a job id was uploaded here. Nothing else may be known of the job yet.
    """
    if link is None:
        return {"state": "wrong"}
    if link.is_expired:
        return {"state": "expired", "ends": link.expires_at}
    return _describe_job(event_hub, link.job_id, is_received) | {"ends": link.expires_at}


def remove_private_fields(state: dict[str, object]) -> dict[str, object]:
    """Return what of a state the browser gets."""
    return {name: value for name, value in state.items() if name != "photo"}


def _describe_job(event_hub: EventHub, job_id: str, is_received: Callable[[str], bool]) -> dict[str, object]:
    """Return the state of a job for the holder of its link. A dream is shown only if the dream index says so."""
    dream = event_hub.dream_index.find(job_id)
    if dream is not None and event_hub.dream_index.is_visible(job_id):
        details = {"recipe": dream.recipe, "title": dream.title, "photo": dream.photo}
        return {"state": "done", "job": job_id[:8], **details}
    if dream is not None:
        return {"state": "held" if dream.visibility is Visibility.HELD else "gone"}
    if event_hub.dream_index.is_deleted(job_id):
        return {"state": "gone"}
    if state := event_hub.describe_job(job_id):
        return state
    if is_received(job_id):
        return {"state": "received"}
    return {"state": "nothing" if event_hub.dream_index.is_complete else "away"}
