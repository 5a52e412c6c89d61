"""Files: announced by one method, received at an address of their own, shared by another."""

from __future__ import annotations

import secrets
from typing import Any

from aiohttp import web

from deploy.sandbox import company
from deploy.sandbox.slack.core import Arguments, Core, StoredFile
from deploy.sandbox.slack.objects import file_object
from deploy.sandbox.slack.workspace import Json, Message, SlackError


def upload_url(core: Core, given: Arguments) -> Json:
    """files.getUploadURLExternal"""
    name = str(given.get("filename") or "").replace("/", "_")
    try:
        length = int(given.get("length") or 0)
    except ValueError as error:
        raise SlackError("invalid_arguments") from error
    if not name or length <= 0:
        raise SlackError("invalid_arguments", ["filename and length are required"])
    file = StoredFile(core.workspace.new_id("F"), name, length)
    key = secrets.token_urlsafe(16)
    core.files[file.id] = file
    core.uploads[key] = file.id
    return {"upload_url": f"{core.base_url()}/upload/{key}", "file_id": file.id}


async def receive(core: Core, request: web.Request) -> web.Response:
    """`POST /upload/ID`: the bytes, raw or as a form; an address takes them once."""
    file = core.files.get(core.uploads.pop(request.match_info["key"], ""))
    if file is None:
        return web.Response(status=404, text="unknown upload")
    content = await _content(request)
    if len(content) != file.length:
        return web.Response(status=400, text=f"{file.length} bytes were announced")
    file.content = content
    return web.Response(text=f"OK - {len(content)}")


async def _content(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    for part in (await request.post()).values():
        if isinstance(part, web.FileField):
            return part.file.read()
    return b""


async def download(core: Core, request: web.Request) -> web.Response:
    """`GET /files/ID/NAME`: without a token, so that the page can link to it."""
    file = core.files.get(request.match_info["file_id"])
    if file is None or file.content is None:
        return web.Response(status=404)
    name = file.name.replace('"', "")
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"'.encode("ascii", "replace").decode(),
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=file.content, headers=headers, content_type="application/octet-stream")


def complete(core: Core, given: Arguments) -> Json:
    """files.completeUploadExternal"""
    files = [_received(core, one) for one in given.get("files") or []]
    if not files:
        raise SlackError("invalid_arguments", ["files is required"])
    objects = [file_object(core, one) for one in files]
    channels = str(given.get("channel_id") or given.get("channels") or "")
    for name in filter(None, channels.split(",")):
        channel = core.workspace.postable(name)
        thread_ts = str(given.get("thread_ts") or "")
        if thread_ts:
            core.workspace.check_thread(channel.id, thread_ts)
        core.workspace.post(
            Message(
                channel.id,
                core.workspace.new_ts(),
                company.BOT_USER,
                str(given.get("initial_comment") or ""),
                thread_ts=thread_ts,
                files=objects,
            )
        )
    return {"files": objects}


def _received(core: Core, given: Any) -> StoredFile:
    file = core.files.get(given.get("id", "")) if isinstance(given, dict) else None
    if file is None or file.content is None:
        raise SlackError("file_not_found")
    file.title = str(given.get("title") or file.name)
    return file


METHODS = {"files.getUploadURLExternal": upload_url, "files.completeUploadExternal": complete}
