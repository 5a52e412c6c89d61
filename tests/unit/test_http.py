"""What holds for HTTP to every vendor: nothing followed, nothing kept, nothing too large."""

from __future__ import annotations

import httpx
import pytest

from integrations.errors import NoAnswer, Temporary, Unreadable, VendorError
from integrations.http import Http, Request


async def test_an_answer_that_is_too_large_is_refused() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 2_000))
    http = Http("Qualys", transport=transport, largest=1_000)
    with pytest.raises(Unreadable, match="larger"):
        await http.send(Request("GET", "https://q.example"), writes=False)
    await http.aclose()


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {"Location": "https://evil.example/", "Set-Cookie": "QualysSession=1"}
        return httpx.Response(302, headers=headers)

    http = Http("Qualys", transport=httpx.MockTransport(answer))
    for _ in range(2):
        reply = await http.send(Request("GET", "https://q.example/"), writes=False)
        assert reply.status == 302
    await http.aclose()
    assert [each.url.host for each in seen] == ["q.example", "q.example"]
    assert "cookie" not in seen[1].headers


@pytest.mark.parametrize(
    ("failure", "writes", "kind"),
    [
        (httpx.ConnectError("refused"), True, Temporary),
        (httpx.ConnectTimeout("late"), True, Temporary),
        (httpx.PoolTimeout("full"), True, Temporary),
        (httpx.ProxyError("403"), True, Temporary),
        (httpx.WriteError("broken"), True, NoAnswer),
        (httpx.ReadTimeout("late"), True, NoAnswer),
        (httpx.RemoteProtocolError("gone"), True, NoAnswer),
        (httpx.ReadTimeout("late"), False, Temporary),
        (httpx.ReadError("broken"), False, Temporary),
    ],
)
async def test_a_failure_is_named_by_whether_the_request_may_have_run(
    failure: httpx.HTTPError, writes: bool, kind: type[VendorError]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise failure

    http = Http("Qualys", transport=httpx.MockTransport(answer))
    with pytest.raises(VendorError) as caught:
        await http.send(Request("POST", "https://q.example"), writes=writes)
    await http.aclose()
    assert type(caught.value) is kind
