"""What Slack's refusals of a message mean: for the message, for its place, or for nobody."""

from __future__ import annotations

from aiohttp import ClientError
from slack_sdk.errors import SlackApiError

from bot.db.engine import AWAY

NO_ENTRY = {
    "not_in_channel": "Amend is not a member of it",
    "is_archived": "it is archived",
    "channel_not_found": "Slack does not know it, or Amend was removed from it",
    "restricted_action": "Slack lets only others post there",
    "restricted_action_read_only_channel": "Slack lets only others post there",
    "restricted_action_thread_only_channel": "Slack lets nobody begin a thread there",
}
# The message that was to be edited is gone, or nobody may edit it any more.
GONE = {"message_not_found", "cant_update_message", "edit_window_closed", *NO_ENTRY}
NO_THREAD = {"thread_not_found", "thread_locked", "restricted_action_non_threadable_channel"}
# Slack's own trouble: it says nothing of the message, which is tried until it stands.
_PASSING = {"ratelimited", "internal_error", "fatal_error", "service_unavailable"}
_NOT_ITS_FAULT = (ClientError, *AWAY)


def passes(error: Exception) -> bool:
    """True where the trouble is Slack's, the network's or the database's, not the message's."""
    if isinstance(error, SlackApiError):
        known = error.response.get("error") in _PASSING
        return known or error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, _NOT_ITS_FAULT)
