"""The durable engine: DBOS workflows that call the pipeline and the runner. Only this imports DBOS.

The engine resumes; the ledger prevents repetition. Workflows take a request's id and its lane, and
nothing else. A bulk run waits in the queue of its lane, the vendor account that its calls go out under:
one of a lane runs at a time, in whichever replica, and goes to the end of the line after a slice where
others wait. So an account's limits are kept, and nobody waits for the end of a long run. Short runs go
at once.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, cast

import dbos._serialization as serialization
import structlog
from dbos import DBOS, DBOSConfig, SetEnqueueOptions, SetWorkflowID, WorkflowStatus
from dbos._serialization import DBOSPortableJSONSerializer

from bot.db.engine import connecting
from bot.db.leases import Leases
from bot.jobs.replicas import CONNECTED_WITHIN, TAKEN_EVERY, Replicas
from bot.pipeline.parts import LONG_WAIT

P = ParamSpec("P")

log = structlog.get_logger(__name__)

BULK = "bulk"  # the queue, partitioned by lane
LOOKS_EVERY = 0.5  # seconds; a waiting run begins within them once its lane is free
AT_ONCE = 20  # bulk runs in one process

STRAY_EVERY = 10.0  # seconds between two looks for a workflow which nobody runs,
STRAY_AFTER = 3  # and how many in a row have to find it
CUT_WITHIN = 2.0  # seconds; a workflow that is cut off has a transaction to end at most

VERSION = "4"  # changed only when the order of a workflow's steps changes


class Work(Protocol):
    """What the workflows call."""

    async def prepare(self, request_id: str) -> float | None: ...
    async def is_direct(self, request_id: str) -> bool: ...
    async def begin(self, request_id: str) -> bool: ...
    async def run_slice(self, request_id: str) -> float | None: ...
    async def outlook(self, request_id: str) -> tuple[float, str, bool]: ...
    async def waits(self, request_id: str) -> None: ...
    async def resume(self, request_id: str) -> None: ...
    async def finish(self, request_id: str) -> None: ...
    async def follow_up(self, request_id: str) -> float | None: ...


_work: Work | None = None
_whole_seconds = False


def _current() -> Work:
    if _work is None:
        message = "the engine is not launched"
        raise RuntimeError(message)
    return _work


def _no_pickle(*_: Any) -> Any:
    """Rows marked as pickle would be unpickled even with JSON configured: a tampered row runs code."""
    message = "pickled rows are not read"
    raise ValueError(message)


serialization.DefaultSerializer.deserialize = _no_pickle  # type: ignore[assignment,method-assign]


@DBOS.step(name="prepare")
async def _prepare(request_id: str) -> float | None:
    return await _current().prepare(request_id)


@DBOS.step(name="begin")
async def _begin(request_id: str) -> bool:
    return await _current().begin(request_id)


@DBOS.step(name="slice")
async def _slice(request_id: str) -> float | None:
    return await _current().run_slice(request_id)


@DBOS.step(name="resume")
async def _resume(request_id: str) -> None:
    await _current().resume(request_id)


@DBOS.step(name="finish")
async def _finish(request_id: str) -> None:
    await _current().finish(request_id)


@DBOS.step(name="outlook")
async def _outlook(request_id: str) -> list[Any]:
    """[seconds until it may run, its lane, has it begun]; a list, because the engine keeps JSON."""
    return list(await _current().outlook(request_id))


@DBOS.step(name="follow_up")
async def _follow_up(request_id: str) -> float | None:
    return await _current().follow_up(request_id)


@DBOS.step(name="pause")
async def _pause(seconds: float) -> None:
    """A span, and no moment by a clock that may be set back: after a crash it begins again."""
    await asyncio.sleep(seconds)


@DBOS.step(name="others_wait")
async def _others_wait(lane: str) -> bool:
    return await _in_lane(lane, ["ENQUEUED"]) > 0


@DBOS.step(name="lined_up")
async def _lined_up(request_id: str, lane: str) -> None:
    """Say so where it does not begin at once."""
    if await _in_lane(lane, ["PENDING", "ENQUEUED"]) > 1:
        await _current().waits(request_id)


async def _in_lane(lane: str, statuses: list[str]) -> int:
    known = await DBOS.list_workflows_async(
        queue_name=BULK, status=statuses, load_input=False, load_output=False
    )
    return sum(each.queue_partition_key == lane for each in known)


_tasks: set[asyncio.Task[Any]] = set()
_alive: set[str] = set()  # the workflows that those tasks run


def _held(
    run: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, Coroutine[Any, Any, None]]:
    """The task of a workflow is known while it runs, so that nothing of it outlives the engine."""

    @wraps(run)
    async def held(*args: P.args, **kwargs: P.kwargs) -> None:
        task, own = cast("asyncio.Task[None]", asyncio.current_task()), str(DBOS.workflow_id)
        _tasks.add(task)
        _alive.add(own)
        try:
            await run(*args, **kwargs)
        finally:
            _tasks.discard(task)
            _alive.discard(own)

    return held


@DBOS.workflow(name="prepare", max_recovery_attempts=None)
@_held
async def _prepare_workflow(request_id: str) -> None:
    while wait := await _prepare(request_id):
        await _pause(wait)
    # A direct request is running now and goes on here. Any other has a workflow of its own from its
    # submission on, and lines up there, however soon its review was submitted.
    if await _current().is_direct(request_id):
        await _carry_out(request_id)


@DBOS.workflow(name="carry_out", max_recovery_attempts=None)
@_held
async def _carry_out_workflow(request_id: str) -> None:
    pause, lane, begun = await _outlook(request_id)
    if pause > LONG_WAIT:
        return  # it is begun anew when its time has nearly come
    if pause:
        await _pause(pause)
        await _resume(request_id)
    if lane:
        await _line_up(request_id, lane, 1)
    elif begun:
        await _go_on(request_id)
    else:
        await _carry_out(request_id)


@DBOS.workflow(name="bulk", max_recovery_attempts=None)
@_held
async def _bulk_workflow(request_id: str, lane: str, turn: int) -> None:
    await _carry_out(request_id, lane, turn)


@DBOS.workflow(name="follow", max_recovery_attempts=None)
@_held
async def _follow_workflow(request_id: str) -> None:
    while (wait := await _follow_up(request_id)) is not None:
        await _pause(wait)


async def _carry_out(request_id: str, lane: str = "", turn: int = 0) -> None:
    if await _begin(request_id):
        await _go_on(request_id, lane, turn)


async def _go_on(request_id: str, lane: str = "", turn: int = 0) -> None:
    """Slice after slice. It ends early where the vendor asks for a long pause: the request is
    scheduled then, and started again when its time comes."""
    while (wait := await _slice(request_id)) is not None:
        if wait:
            return
        if lane and await _others_wait(lane):
            await _line_up(request_id, lane, turn + 1)
            return
    await _finish(request_id)
    if await _follow_up(request_id) is not None:
        start = _named(str(DBOS.workflow_id))[1]
        with SetWorkflowID(f"follow:{request_id}:{start}"):
            await DBOS.start_workflow_async(_follow_workflow, request_id)


async def _line_up(request_id: str, lane: str, turn: int) -> None:
    """To the end of the line, as the next turn of the workflow that began it."""
    began = str(DBOS.workflow_id).partition("/")[0]
    place = SetEnqueueOptions(queue_partition_key=lane, priority=_place())
    with SetWorkflowID(f"{began}/{turn}"), place:
        await DBOS.enqueue_workflow_async(BULK, _bulk_workflow, request_id, lane, turn)
    await _lined_up(request_id, lane)


def _place() -> int | None:
    """When it lined up, where the database keeps that in whole seconds (SQLite): of two that line up
    within one the later would go first, time and again. In tenths, for it is a number of 31 bits."""
    return int(time.time() * 10) % (2**31 - 1) + 1 if _whole_seconds else None


_NAME = re.compile(r"[a-z_]+:([^:/]+):(\d+)(?:/(\d+))?")


def _named(workflow_id: str) -> tuple[str, int, int]:
    """(request, which start of it, which turn) of a workflow: `carry_out:R2ABCDEF:2/1`.

    No request for a name of another kind: earlier versions had such.
    """
    found = _NAME.fullmatch(workflow_id)
    return (found[1], int(found[2]), int(found[3] or 0)) if found else ("", 0, 0)


def _after(workflow_id: str) -> list[str]:
    """What may have come after it: the next turn in its line, or the next start of its request."""
    request_id, start, turn = _named(workflow_id)
    next_turn = f"{workflow_id.partition('/')[0]}/{turn + 1}"
    return [next_turn, *(f"{kind}:{request_id}:{start + 1}" for kind in _WORKFLOWS)]


_UNDER_WAY = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
_FAILED = ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_ENDED = ["SUCCESS", *_FAILED]
_WORKFLOWS = {"prepare": _prepare_workflow, "carry_out": _carry_out_workflow}


async def _cut(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel, and wait for the end; to a request that is the same as a kill at this moment."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(list(tasks), timeout=CUT_WITHIN)


async def set_up(url: str) -> None:
    """Bring the engine's tables on PostgreSQL to their newest schema, beside the event loop.

    It builds indexes concurrently, which waits for every transaction that is open: where one of ours
    is, the loop has to go on to end it. A SQLite file has one owner, who sets it up at the start.
    """
    if not url.startswith("sqlite"):
        await asyncio.to_thread(DBOS.migrate, url)


def jobs_url(database_url: str) -> str:
    """Where the engine keeps its tables: its own SQLite file beside ours, or the same PostgreSQL."""
    if not database_url.startswith("sqlite:///"):
        return database_url
    path = Path(database_url.removeprefix("sqlite:///"))
    return f"sqlite:///{path.with_name(path.stem + '-jobs' + path.suffix)}"


class _Connection(sqlite3.Connection):
    """SQLite before 3.42 lacks `unixepoch('subsec')`, which DBOS needs on Python 3.12 and later."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if sqlite3.sqlite_version_info < (3, 42):
            self.create_function("unixepoch", 1, lambda _mode: time.time())


@dataclass
class Engine:
    """Starts durable work; one per process."""

    database_url: str
    executor: str = "solo"
    leases: Leases | None = None  # where replicas share a database
    _replicas: Replicas | None = field(default=None)
    _watch: asyncio.Task[None] | None = field(default=None)
    _strays: dict[str, int] = field(default_factory=dict)  # workflow → in how many looks

    async def launch(self, work: Work) -> None:
        """Open the engine inside the running loop; whatever was under way goes on."""
        global _work, _whole_seconds
        url = jobs_url(self.database_url)
        _work, _whole_seconds = work, url.startswith("sqlite")
        config: DBOSConfig = {
            "name": "amend",
            "system_database_url": url,
            "application_version": VERSION,
            "executor_id": self.executor,
            "max_executor_threads": 8,
            "sys_db_pool_size": 2 if url.startswith("sqlite") else 5,
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": 1.0,
            "console_log_level": "ERROR",
            "log_level": "ERROR",
        }
        if url.startswith("sqlite"):
            _set_wal(url)
            config["db_engine_kwargs"] = {"connect_args": {"factory": _Connection}}
        if not url.startswith("sqlite"):
            lively = connecting(CONNECTED_WITHIN, self.executor)
            config["db_engine_kwargs"] = {"connect_args": lively}
            self._replicas = Replicas(url, self.executor)
            await self._replicas.hold()
            if self.leases is not None:
                await self.leases.renew()
            await set_up(url)
        DBOS(config=config)
        DBOS.launch()
        await DBOS.register_queue_async(
            BULK,
            partition_concurrency=1,
            worker_concurrency=AT_ONCE,
            polling_interval_sec=LOOKS_EVERY,
        )
        await self._end_what_is_older()
        if self._replicas is not None:
            self._watch = asyncio.create_task(self._watch_replicas(self._replicas))

    async def _watch_replicas(self, replicas: Replicas) -> None:
        """What a replica that is gone left under way goes on here."""
        while True:
            await asyncio.sleep(TAKEN_EVERY)
            try:
                await replicas.hold()
                await self._look_after(replicas)
            except Exception as error:  # a database that is gone for a while ends nothing
                log.warning("takeover_failed", error=type(error).__name__)

    async def _look_after(self, replicas: Replicas) -> None:
        """Show that we live, and carry on what those that do not had under way."""
        if self.leases is None:
            return
        await self.leases.renew()
        running = await DBOS.list_workflows_async(
            status="PENDING", load_input=False, load_output=False
        )
        owners = {each.executor_id or "" for each in running} | set(await self.leases.others())
        await replicas.take_over(owners, await self.leases.lapsed(), self._carry_on)
        await self._end_what_is_older()

    async def _carry_on(self, executor: str) -> None:
        """What another one held is free first, so that its workflows can take it here."""
        if self.leases is not None:
            await self.leases.end(executor)
            await _resume_all(executor)
            await self.leases.forget(executor)

    async def _end_what_is_older(self) -> None:
        """Workflows of a version that no replica runs any more would wait for ever.

        The sweep begins their requests anew.
        """
        open_ones = await DBOS.list_workflows_async(
            status=list(_UNDER_WAY), load_input=False, load_output=False
        )
        ours = {None, VERSION}
        others = [each for each in open_ones if each.app_version not in ours]
        living = await self._living(others) if others else set()
        older = [each.workflow_id for each in others if each.app_version not in living]
        if older:
            log.warning("older_workflows_ended", many=len(older))
            await DBOS.cancel_workflows_async(older)

    async def _living(self, found: Collection[WorkflowStatus]) -> set[str | None]:
        """The versions of replicas that live, those included that know of no leases yet."""
        if self.leases is None or self._replicas is None:
            return set()
        living: set[str | None] = set(await self.leases.versions())
        for owner in {each.executor_id or "" for each in found} - {""}:
            if await self._replicas.shows_life(owner):
                living |= {each.app_version for each in found if each.executor_id == owner}
        return living

    async def close(self) -> None:
        """Park what runs: it goes on after the next start, or in another replica."""
        if self._watch is not None:
            await _cut([self._watch])
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        await _cut(_tasks)
        if self._replicas is not None:
            await self._replicas.close()

    async def start(self, kind: str, request_id: str, *, patience: float = 0.0) -> None:
        """Start a workflow once; starting one that is under way or done has no effect.

        One that failed (its database was gone, say) is started again under the next number. The
        workflow that made a plan may not have ended when its review is submitted: `patience` is
        for how many seconds that is waited for.
        """
        until = time.monotonic() + patience
        while known := await self._known(request_id):
            # Two workflows of one request at once would take each other's calls for interrupted ones.
            if not any(workflow.status in _UNDER_WAY for workflow in known):
                break
            if time.monotonic() >= until:
                return
            await asyncio.sleep(0.05)
        # Counted on from the highest: retention may have removed the first of them.
        number = max((_named(each.workflow_id)[1] for each in known), default=0) + 1
        with SetWorkflowID(f"{kind}:{request_id}:{number}"):
            await DBOS.start_workflow_async(_WORKFLOWS[kind], request_id)

    async def under_way(self) -> Collection[str]:
        """The requests that a workflow carries on, by one question for all of them."""
        known = await DBOS.list_workflows_async(
            status=sorted(_UNDER_WAY), load_input=False, load_output=False
        )
        return {_named(each.workflow_id)[0] for each in known} - {""}

    async def failed(self, since: float) -> Collection[str]:
        """The requests that were carried on since then (epoch seconds), until that failed."""
        ended = await DBOS.list_workflows_async(
            status=_FAILED,
            completed_after=datetime.fromtimestamp(since, UTC).isoformat(),
            load_input=False,
            load_output=False,
        )
        names = (each.workflow_id for each in ended)
        after = {each: _after(each) for each in names if _named(each)[0]}
        wanted = [each for some in after.values() for each in some]
        later = (
            await DBOS.list_workflows_async(
                workflow_ids=wanted, load_input=False, load_output=False
            )
            if wanted
            else []
        )
        known = {each.workflow_id for each in later}
        return {_named(each)[0] for each, some in after.items() if known.isdisjoint(some)}

    async def _known(self, request_id: str) -> list[WorkflowStatus]:
        prefixes = [f"{each}:{request_id}:" for each in _WORKFLOWS]
        found = await DBOS.list_workflows_async(
            workflow_id_prefix=prefixes, load_input=False, load_output=False
        )
        return [each for each in found if _named(each.workflow_id)[0]]

    async def pick_up_strays(self) -> None:
        """Carry on what is noted as running here, and what no task runs.

        So a workflow stands where the database failed as it was to note the end, or lost the answer
        that gave it to us. One that is only about to begin, or just ended, is not found so often.
        """
        noted = await DBOS.list_workflows_async(
            status="PENDING", executor_id=self.executor, load_input=False, load_output=False
        )
        idle = [each for each in noted if each.workflow_id not in _alive]
        self._strays = {
            each.workflow_id: self._strays.get(each.workflow_id, 0) + 1 for each in idle
        }
        strays = [each for each in idle if self._strays[each.workflow_id] >= STRAY_AFTER]
        if strays:
            log.warning("strays_picked_up", many=len(strays))
            await _go_on_here(strays)

    async def purge(self, before: float, limit: int) -> int:
        """Forget up to `limit` workflows that ended before then (epoch seconds); how many it were."""
        ended = await DBOS.list_workflows_async(
            status=_ENDED,
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=limit,
            load_input=False,
            load_output=False,
        )
        if ended:
            await DBOS.delete_workflows_async([each.workflow_id for each in ended])
        return len(ended)

    async def waiting(self) -> Mapping[str, int]:
        """How many bulk runs wait for their turn, by lane."""
        known = await DBOS.list_workflows_async(
            queue_name=BULK, status=["ENQUEUED"], load_input=False, load_output=False
        )
        return Counter(str(each.queue_partition_key) for each in known)

    async def alive(self) -> bool:
        """True where the engine answers."""
        try:
            async with asyncio.timeout(1.0):
                await DBOS.list_workflows_async(limit=1)
        except Exception:  # any failure means the same to the caller
            return False
        return True


async def _resume_all(executor: str) -> None:
    """Another one's workflows go on here, those of a queue by way of their queue."""
    left = await DBOS.list_workflows_async(
        status="PENDING", executor_id=executor, load_input=False, load_output=False
    )
    await _go_on_here(left)


async def _go_on_here(left: Collection[WorkflowStatus]) -> None:
    for queue in {each.queue_name for each in left}:
        ids = [each.workflow_id for each in left if each.queue_name == queue]
        await DBOS.resume_workflows_async(ids, queue_name=queue)


def _set_wal(url: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
