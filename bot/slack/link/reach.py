"""How Slack and a SIEM are reached: by the proxy that is set, never on loopback, with its authorities."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.settings import Settings
from integrations.addresses import is_loopback


def proxy_for(settings: Settings, url: str) -> str | None:
    """The proxy that leads to `url`; None where it is reached directly (loopback, `NO_PROXY`)."""
    host = urlsplit(url).hostname or ""
    if not settings.https_proxy or is_loopback(host):
        return None
    return None if _exempt(host, settings.no_proxy) else settings.https_proxy


def _exempt(host: str, no_proxy: str) -> bool:
    """As curl reads `NO_PROXY`: names that hold for themselves and what lies below, or `*`."""
    names = [each.strip().lstrip(".").lower() for each in no_proxy.split(",") if each.strip()]
    return any(each in ("*", host) or host.endswith(f".{each}") for each in names)


def route(client: AsyncWebClient, settings: Settings) -> AsyncWebClient:
    """Give the client its way, for calls and uploads.

    By itself the SDK takes `HTTPS_PROXY` for every host, and authorities as they were at import.
    """
    client.proxy = proxy_for(settings, settings.slack_api_url)
    client.ssl = authorities(settings.slack_api_url)
    return client


def authorities(url: str) -> ssl.SSLContext | None:
    """Those that are trusted now: aiohttp by itself keeps the ones that were so at its import."""
    return ssl.create_default_context() if url.startswith("https") else None


def answering(client: AsyncWebClient, settings: Settings, url: str) -> AsyncWebhookClient:
    """For an answer to a `response_url`: by the client's connections, proxy and authorities."""
    made = AsyncWebhookClient(url, timeout=10, session=client.session, ssl=client.ssl)
    made.proxy = proxy_for(settings, url)
    return made
