"""The Web API's chat methods, and what answers to commands and response URLs do."""

from __future__ import annotations

from typing import Any

from deploy.sandbox import company
from deploy.sandbox.slack.core import Arguments, Core
from deploy.sandbox.slack.objects import message_object
from deploy.sandbox.slack.triggers import ResponseUrl
from deploy.sandbox.slack.workspace import Json, Message, SlackError

LONGEST_TEXT = 40_000
LONGEST_UPDATE = 4_000
LONGEST_MARKDOWN = 12_000
MOST_ATTACHMENTS = 100
METADATA_BYTES = 8_000


class Paced(SlackError):
    """A message came too soon after another; answered as a rate limit."""


def content(core: Core, given: Arguments, what: str) -> Json:
    """The text, blocks and so on of a message to be, all checked."""
    text, blocks = str(given.get("text") or ""), given.get("blocks") or []
    attachments = given.get("attachments") or []
    if "markdown_text" in given:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        text = str(given["markdown_text"])
        if len(text) > LONGEST_MARKDOWN:
            raise SlackError("msg_too_long")
    if not (text.strip() or blocks or attachments):
        raise SlackError("no_text")
    if blocks:
        core.workspace.clean_blocks("message", blocks, what)
        if not text.strip():
            core.workspace.violation(f"{what}: blocks without a fallback text")
    _check_attachments(core, attachments, what)
    found = {"text": text[:LONGEST_TEXT], "blocks": blocks, "attachments": attachments}
    if given.get("metadata"):
        found["metadata"] = _metadata(given["metadata"])
    return found


def _check_attachments(core: Core, attachments: Any, what: str) -> None:
    if not isinstance(attachments, list) or len(attachments) > MOST_ATTACHMENTS:
        raise SlackError("invalid_attachments")
    for attachment in attachments:
        if isinstance(attachment, dict) and attachment.get("blocks"):
            core.workspace.clean_blocks("message", attachment["blocks"], f"{what} attachment")


def _metadata(given: Any) -> Json:
    right = (
        isinstance(given, dict)
        and isinstance(given.get("event_type"), str)
        and isinstance(given.get("event_payload"), dict)
    )
    if not right:
        raise SlackError("invalid_metadata_format")
    if len(str(given)) > METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return {"event_type": given["event_type"], "event_payload": given["event_payload"]}


def _pace(core: Core, channel: str, what: str) -> None:
    if not core.paced(channel, what) and core.fault.take("channel_pace"):
        raise Paced("ratelimited")


def post_message(core: Core, given: Arguments) -> Json:
    """chat.postMessage"""
    channel = core.workspace.postable(_needed(given, "channel"))
    found = content(core, given, "chat.postMessage")
    thread_ts = str(given.get("thread_ts") or "")
    if thread_ts:
        core.workspace.check_thread(channel.id, thread_ts)
    _pace(core, channel.id, "chat.postMessage")
    ts = core.workspace.new_ts()
    message = Message(channel.id, ts, company.BOT_USER, thread_ts=thread_ts, **found)
    core.workspace.post(message)
    shown = message_object(core, message, with_metadata=True)
    return {"channel": channel.id, "ts": ts, "message": shown}


def post_ephemeral(core: Core, given: Arguments) -> Json:
    """chat.postEphemeral"""
    channel = core.workspace.postable(_needed(given, "channel"))
    user = _needed(given, "user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    found = content(core, given, "chat.postEphemeral")
    found.pop("metadata", None)
    _pace(core, channel.id, "chat.postEphemeral")
    ts = core.workspace.new_ts()
    thread_ts = str(given.get("thread_ts") or "")
    # "Ephemeral messages in threads are only shown if there is already an active thread."
    if not thread_ts or len(core.workspace.thread(channel.id, thread_ts)) > 1:
        core.workspace.post(
            Message(channel.id, ts, company.BOT_USER, thread_ts=thread_ts, only_for=user, **found)
        )
    return {"message_ts": ts}


def update(core: Core, given: Arguments) -> Json:
    """chat.update"""
    message = _own(core, given, "cant_update_message")
    if len(str(given.get("text") or "")) > LONGEST_UPDATE:
        raise SlackError("msg_too_long")
    if "blocks" not in given and "text" not in given:
        given = given | {"text": message.text, "blocks": message.blocks}
    rewrite(core, message, content(core, given, "chat.update"))
    shown = message_object(core, message, with_metadata=True)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


def rewrite(core: Core, message: Message, found: Json) -> None:
    """Gives a message new content; text without blocks removes the blocks."""
    message.text = found["text"]
    message.blocks = core.workspace.named(found["blocks"])
    message.attachments = found["attachments"]
    message.metadata = found.get("metadata", message.metadata)
    if not message.blocks:  # Slack shows no "edited" beside blocks
        message.edited = {"user": company.BOT_USER, "ts": core.workspace.new_ts()}
    core.workspace.changed()


def delete(core: Core, given: Arguments) -> Json:
    """chat.delete"""
    message = _own(core, given, "cant_delete_message")
    core.workspace.remove(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(core: Core, given: Arguments) -> Json:
    """chat.getPermalink"""
    message = _shown(core, _needed(given, "channel"), _needed(given, "message_ts"))
    path = f"archives/{message.channel}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        path += f"?thread_ts={message.thread_ts}&cid={message.channel}"
    return {"channel": message.channel, "permalink": f"{core.base_url()}/{path}"}


def _shown(core: Core, channel: str, ts: str) -> Message:
    message = core.workspace.find(channel, ts)
    if message.only_for:  # an ephemeral message cannot be reached by its ts
        raise SlackError("message_not_found")
    return message


def _own(core: Core, given: Arguments, refusal: str) -> Message:
    message = _shown(core, _needed(given, "channel"), _needed(given, "ts"))
    if not message.by_bot:
        raise SlackError(refusal)
    return message


def _needed(given: Arguments, key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value:
        raise SlackError(
            "channel_not_found" if key == "channel" else "invalid_arguments",
            [f"missing required field: {key}"],
        )
    return value


def answer(core: Core, place: ResponseUrl, given: Json, what: str) -> None:
    """A message from a command's ack or through a response URL; ephemeral unless it says so."""
    if given.get("delete_original"):
        if set(given) != {"delete_original"}:
            core.workspace.violation(f"{what}: delete_original must be the sole attribute")
            raise SlackError("invalid_arguments")
        core.workspace.remove(_source(core, place))
        return
    found = content(core, given, what)
    if given.get("replace_original") and place.source_ts:
        rewrite(core, _source(core, place), found)
        return
    public = given.get("response_type", "ephemeral") == "in_channel"
    thread_ts = str(given.get("thread_ts") or "")
    if public:
        _pace(core, place.channel, what)
    core.workspace.post(
        Message(
            place.channel,
            core.workspace.new_ts(),
            company.BOT_USER,
            thread_ts=thread_ts,
            only_for="" if public else place.user,
            **found,
        )
    )


def _source(core: Core, place: ResponseUrl) -> Message:
    if not place.source_ts:
        raise SlackError("message_not_found")
    return core.workspace.find(place.channel, place.source_ts)


METHODS = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "chat.getPermalink": permalink,
}
