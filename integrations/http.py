"""HTTP for all vendors: the only module that imports httpx, so that its successor is one change."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from integrations.addresses import is_loopback
from integrations.errors import NoAnswer, Temporary, Unreadable, VendorError
from integrations.last_look import traced
from integrations.secrets import Mask
from integrations.telemetry import observed

Transport = httpx.AsyncBaseTransport

LARGEST_REPLY = 64 * 1024 * 1024
MOST = 20  # connections to a vendor at a time; reads keep theirs, for a new one costs as much as a call

# In these cases not one byte of the request has reached the vendor.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Request:
    """One HTTP request; `auth` is (user, password) for Basic, `read` a longer read timeout (s).

    `call` names what it is for in metrics: one of a few words of its vendor, never a record's.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    read: float | None = None
    call: str = ""


@dataclass(frozen=True)
class Reply:
    """A whole answer; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, between two pieces of the answer, and for a whole exchange."""

    connect: float = 5.0
    read: float = 60.0
    total: float = 900.0


class Http:
    """HTTP for one vendor. No redirect is followed and no cookie kept: credentials go one way only.

    `keep_write_connections` is for vendors whose writes may be repeated; others get a new connection
    each. `verify` is True, False, the path of a PEM bundle or an SSL context. Proxy settings of the
    environment hold, except on loopback. `secrets` (see `integrations.secrets`) are hidden in every
    answer. `name` is the vendor's in metrics.

    Raises `Temporary` where nothing was sent, or a read failed or met a web page; `NoAnswer` where a
    write was sent and no answer of the vendor itself came; `Unreadable` where the answer is larger
    than `largest` bytes.
    """

    def __init__(
        self,
        vendor: str,
        *,
        timeouts: Timeouts | None = None,
        verify: bool | str | ssl.SSLContext = True,
        transport: Transport | None = None,
        largest: int = LARGEST_REPLY,
        keep_write_connections: int = 0,
        secrets: Iterable[bytes] = (),
        name: str = "",
    ) -> None:
        self.vendor = vendor
        self._name = name or vendor.lower().replace(" ", "_")
        self.timeouts = timeouts or Timeouts()
        self._verify = verify
        self._transport = transport
        self._largest = largest
        self._keep_writes = keep_write_connections
        self._mask = Mask(secrets)
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient] = {}
        self._calls: set[asyncio.Task[Reply]] = set()

    def hide(self, secrets: Iterable[bytes]) -> None:
        """Hide these in every answer from now on, too: what was got while signing in."""
        self._mask.add(secrets)

    async def send(self, request: Request, *, writes: bool) -> Reply:
        """Send `request` and read the whole answer. `writes` says whether it changes anything.

        Cancelling this leaves the call to itself; see `begin`.
        """
        return await asyncio.shield(self.begin(request, writes=writes))

    def begin(self, request: Request, *, writes: bool) -> asyncio.Task[Reply]:
        """The same as a task, which ends by itself within `timeouts.total`: wait for it shielded.

        httpcore 1.0 loses a place of its pool for good where a request is cancelled between getting
        that place and connecting, so a call that was begun is never cancelled but by `aclose`.
        """
        call = asyncio.create_task(self._exchanged(request, writes=writes))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return call

    async def aclose(self) -> None:
        """Cut off what is under way (it counts as broken off), and close every connection."""
        await asyncio.sleep(0)  # a call that has not begun could not say what became of it
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()

    def _ended(self, call: asyncio.Task[Reply]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # the caller may be gone; what it would have been told is not missed

    async def _exchanged(self, request: Request, *, writes: bool) -> Reply:
        client = self._client(is_loopback(urlsplit(request.url).hostname or ""), writes)
        call = request.call or request.method.lower()
        with (
            observed(self._name, call, request.method, request.url) as seen,
            self._named(request, writes=writes),
        ):
            async with (
                asyncio.timeout(self.timeouts.total),
                client.stream(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.body,
                    auth=request.auth,
                    timeout=self._timeout(request),
                    extensions=traced(writes=writes),
                ) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers.items()}
                body = self._mask(await self._body(response))
            seen.status = response.status_code
        reply = Reply(response.status_code, headers, body)
        return self._of_the_vendor(reply, writes=writes)

    async def _body(self, response: httpx.Response) -> bytes:
        size, chunks = 0, []
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._largest:
                words = f"it is larger than {self._largest:,} bytes"
                raise Unreadable(self.vendor, words)
            chunks.append(chunk)
        return b"".join(chunks)

    def _of_the_vendor(self, reply: Reply, *, writes: bool) -> Reply:
        """`reply`, unless something else answered in the vendor's place."""
        if writes and from_a_gateway(reply):
            raise NoAnswer(self.vendor, _gateway_words(reply))
        if not writes and reply.status < 300 and is_web_page(reply.body):
            raise Temporary(self.vendor, _gateway_words(reply))
        return reply

    @contextmanager
    def _named(self, request: Request, *, writes: bool) -> Iterator[None]:
        try:
            yield
        except NOT_SENT as error:
            raise Temporary(self.vendor, not_reached(request, error)) from error
        except (httpx.HTTPError, TimeoutError, asyncio.CancelledError) as error:
            # Only `aclose` cancels a call, and whoever waits for it is not to be cancelled by that.
            raise self._broken(request, error, writes=writes) from error

    def _broken(self, request: Request, error: BaseException, *, writes: bool) -> VendorError:
        if isinstance(error, TimeoutError):
            words = f"it was not done within {self.timeouts.total:g} seconds"
        elif isinstance(error, httpx.TimeoutException):
            seconds = request.read or self.timeouts.read
            words = f"it did not answer within {seconds:g} seconds"
        else:
            words = "the connection broke before the answer was complete"
        return (NoAnswer if writes else Temporary)(self.vendor, words)

    def _timeout(self, request: Request) -> httpx.Timeout:
        read = request.read or self.timeouts.read
        return httpx.Timeout(read, connect=self.timeouts.connect)

    def _client(self, loopback: bool, writes: bool) -> httpx.AsyncClient:
        key = (loopback, writes)
        if key not in self._clients:
            self._clients[key] = httpx.AsyncClient(
                verify=_trusting(self._verify, *map(os.environ.get, AUTHORITIES)),
                transport=self._transport,
                trust_env=not loopback,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": "Amend"},
                limits=_limits(self._keep_writes if writes else MOST),
            )
        return self._clients[key]


# The environment's own names for the certificate authorities; httpx reads them, too.
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def _trusting(verify: bool | str | ssl.SSLContext, *_authorities: str | None) -> ssl.SSLContext:
    """One context for all connections, of all vendors: making it reads every certificate authority."""
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return httpx.create_ssl_context(verify) if isinstance(verify, bool) else verify


# Behind these an upstream may still be at work; the gateway only stopped waiting for it.
GAVE_UP = frozenset({408, 502, 504})

_WEB_PAGE = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<html[\s>])",
    re.IGNORECASE | re.DOTALL,
)


def is_web_page(body: bytes) -> bool:
    """True for HTML, also in the tidy form that an XML parser takes."""
    return _WEB_PAGE.match(body[:4000]) is not None


def from_a_gateway(reply: Reply) -> bool:
    """True where an answer to a write does not tell whether the vendor did it.

    A gateway that gave up, in whatever words (some write JSON), or a web page (of maintenance, of a
    sign-in) that says all is well. Any other 4xx or 5xx is somebody's refusal or failure.
    """
    return reply.status in GAVE_UP or (reply.status < 400 and is_web_page(reply.body))


def _gateway_words(reply: Reply) -> str:
    what = "a web page" if is_web_page(reply.body) else "a gateway's word"
    return f"{what} came instead of its own answer (HTTP status {reply.status})"


def _limits(kept: int) -> httpx.Limits:
    # A kept connection may be closed by the vendor just as a request goes out, and then nobody
    # knows whether it ran. So each write has a new one, unless repeating it is harmless.
    return httpx.Limits(max_connections=MOST, max_keepalive_connections=kept, keepalive_expiry=5.0)


def not_reached(request: Request, error: Exception) -> str:
    """Plain words for a connection that did not come about."""
    where = urlsplit(request.url).netloc.rpartition("@")[2]
    if isinstance(error, httpx.ProxyError):
        return f"the proxy did not connect to {where}"
    if isinstance(error, httpx.PoolTimeout):
        return f"all connections to {where} are in use"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"the TLS certificate of {where} could not be verified"
    return f"{where} cannot be reached"
