"""`make bench`: every figure beside its yardstick and the goal it is held against.

`python -m bench NAME …` runs some: ack, done, submit, programs, ccs, edit, plan,
poll, append, bundle, replicas. `AMEND_BENCH_SCALE` (1.0)
shrinks the numbers of records, for a quick look.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import httpx

from bench.bare_bolt import SECRET
from bench.done import done
from bench.figures import say, scaled, spread
from bench.programs import programs
from bench.proof import append, bundle
from bench.reading import plan, poll
from bench.replicas import replicas
from bench.sandbox import CALL
from bench.stage import OPS, Stage, acks, bare_bolt, stage

AT_ONCE = 16


# --- acknowledgement, start, memory ---------------------------------------------------------------


async def ack() -> None:
    many = 300
    async with bare_bolt() as port:
        bare = await acks(port, SECRET, lambda _: "/amend", many)
    async with stage() as held:
        say("start to ready", f"{held.ready_in:.1f} s", "under 3 s")
        await asyncio.sleep(5)
        say("resident memory, idle", f"{held.memory('VmRSS'):.0f} MB", "under 150 MB")
        port, secret = int(held.environment["AMEND_PORT"]), held.environment["SLACK_SIGNING_SECRET"]
        plain = await acks(port, secret, lambda _: "/amend whoami", many)
        kept = await acks(
            port, secret, lambda n: f"/qualys {23_000 + n} change_state=RESOLVED", many
        )
    say("bare Bolt: acknowledgement, median / 99th", spread(bare), "")
    say("Amend: the same for a question", spread(plain, bare), "median within 1.2 times")
    say("Amend: for a request, recorded durably first", spread(kept, bare), "99th under 300 ms")


async def submit() -> None:
    """From the submitted review to the vendor's socket; the vendor's own time is none of it."""
    async with stage() as held:
        took = []
        for number in range(23_000, 23_010):
            await held.act(
                "type", channel=OPS, text=f"/qualys {number},23456 add_comment=x{number}"
            )
            while (view := await held.view()).get("callback_id") != "review":
                await asyncio.sleep(0.05)
            since = await _last_entry(held)
            began = time.time()
            await held.act("submit", view_id=view["id"], values={})
            took.append(await _first_call(held, since) - began)
            await asyncio.sleep(1.0)
        say(
            "submitted review to the vendor's socket, median of 10",
            f"{statistics.median(took) * 1000:.0f} ms",
            "under 50 ms",
        )


async def _last_entry(held: Stage) -> int:
    return max((each["n"] for each in await held.entries(0)), default=0)


async def _first_call(held: Stage, since: int) -> float:
    """When the first call after `since` reached the vendor (it is noted when it is answered)."""
    while True:
        for each in await held.entries(since):
            if each["link"] == "vendor":
                return float(each["at"]) - float(each["ms"]) / 1000
        await asyncio.sleep(0.02)


# --- bulk -----------------------------------------------------------------------------------------


async def ccs() -> None:
    """Each ticket is read, changed and read back, 16 at a time; a call takes 20 ms at the vendor."""
    many = scaled(20_000)
    async with stage(ccs=2 * many) as held:
        numbers = [f"INCA{each:07}" for each in range(1, 2 * many + 1)]
        bare = await _bare_ccs(held.environment, numbers[many:])
        await held.confirm(f"/ccs {','.join(numbers[:many])} TicketDescription=bench")
        state, started, ended = await held.ended()
        own = many / (ended - started)
        memory = held.memory("VmHWM")
    floor = AT_ONCE / (3 * CALL)
    say(f"{many:,} CCS tickets: bare httpx loop", f"{bare:.0f}/s", f"at most {floor:.0f}/s")
    say(
        f"{many:,} CCS tickets: Amend ({state})",
        f"{own:.0f}/s, {own / bare:.2f} of it",
        "0.9 of it",
    )
    say("peak memory of that", f"{memory:.0f} MB", "")


async def _bare_ccs(environment: dict[str, str], numbers: list[str]) -> float:
    """The yardstick: the same calls, nothing recorded; tickets a second."""
    base = f"{environment['CCS_URL']}/ccs/api/v1"
    grant = {
        "grant_type": "password",
        "username": environment["CCS_USERNAME"],
        "password": environment["CCS_PASSWORD"],
    }
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        token = (await client.post(f"{base}/oauth/tokens", data=grant)).json()["access_token"]
        headers, url = {"Authorization": f"Bearer {token}"}, f"{base}/RemediationTickets/"
        queue = asyncio.Semaphore(AT_ONCE)

        async def one(number: str) -> None:
            async with queue:
                body = {"TicketNumber": number, "TicketDescription": "bench"}
                await client.get(url, params={"TicketNumber": number}, headers=headers)
                changed = await client.patch(url, json=body, headers=headers)
                assert changed.status_code == 204, changed.text
                await client.get(url, params={"TicketNumber": number}, headers=headers)

        began = time.perf_counter()
        await asyncio.gather(*(one(each) for each in numbers))
        return len(numbers) / (time.perf_counter() - began)


async def edit() -> None:
    many = scaled(20_000)
    async with stage(qualys=many) as held:
        planned = await held.confirm("/qualys states=OPEN change_state=RESOLVED")
        state, started, ended = await held.ended()
        say(
            f"{many:,} Qualys tickets in one edit ({state}): plan, run",
            f"{planned:.1f} s, {ended - started:.1f} s",
            "",
        )
        say("peak memory of that", f"{held.memory('VmHWM'):.0f} MB", "under 200 MB")


ALL: dict[str, Callable[[], Awaitable[None]]] = {
    "ack": ack,
    "done": done,
    "submit": submit,
    "programs": programs,
    "ccs": ccs,
    "edit": edit,
    "plan": plan,
    "poll": poll,
    "append": append,
    "bundle": bundle,
    "replicas": replicas,
}


async def main(names: list[str]) -> None:
    for name in names or list(ALL):
        print(f"\n{name}")
        await ALL[name]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
