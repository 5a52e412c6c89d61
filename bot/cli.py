"""The command line: `amend`."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer
from cryptography.fernet import Fernet
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bot import bootstrap
from bot.commands import audit, policy
from bot.commands.backup import backup
from bot.commands.common import FAILED, WRONG, must_exist, plain_out, slack_answers
from bot.commands.common import opened as _opened
from bot.commands.common import run as _run
from bot.commands.common import settings as _settings
from bot.commands.evidence import evidence
from bot.commands.migrate import migrate
from bot.db.ledger import Ledger
from bot.db.owner import AlreadyOwned, sole_owner
from bot.db.restored import restored as take_for_restored
from bot.doctor import examine, warn_of_parts
from bot.domain.errors import AmendError
from bot.domain.operations import Result
from bot.domain.people import Account
from bot.domain.plans import RESULT_WORDS
from bot.domain.receipts import receipt_csv
from bot.jobs.replicas import anybody_lives
from bot.logs import configure_logs
from bot.people import export_csv, parse_people, resolve_people
from bot.settings import BadSettings, require_slack
from bot.slack.link.manifest import manifest as app_manifest
from bot.stopping import Unwaited, exit_at_last

app = typer.Typer(
    name="amend",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
people = typer.Typer(help="Who is who at the vendors.", no_args_is_help=True)
app.add_typer(people, name="people")
app.add_typer(audit.app, name="audit")
app.add_typer(policy.app, name="policy")
app.command()(evidence)
app.command()(migrate)
app.command()(backup)

T = TypeVar("T")


log = structlog.get_logger(__name__)

LONGEST_LINE = 100_000  # characters; a scope of a thousand ranges has some 20,000


def main() -> None:
    """Run the command line; every error is one readable line on stderr, never a traceback."""
    try:
        sys.exit(app(prog_name="amend", standalone_mode=False))
    except typer.TyperException as error:  # wrong usage
        # Without a message its words are the help, which is printed already.
        message = error.format_message()
        sys.exit(_say(message, error.exit_code) if message else error.exit_code)
    except (BadSettings, AlreadyOwned) as error:
        sys.exit(_say(error, WRONG))
    except AmendError as error:
        sys.exit(_say(error, FAILED))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the last resort of a command line
        sys.exit(_say(f"{type(error).__name__}: {error}".splitlines()[0], FAILED))


def _say(error: object, code: int) -> int:
    print(f"amend: {error}", file=sys.stderr)
    return code


def _version(wanted: bool) -> None:
    if wanted:
        print(f"amend {version('amend')}")
        raise typer.Exit


@app.callback()
def top(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Fix security findings from Slack: plan, approve, run, receipt."""


# --- the bot --------------------------------------------------------------------------------------


@app.command()
def run() -> None:
    """Run the bot: Socket Mode where SLACK_APP_TOKEN is set, else HTTP."""
    settings = _settings()
    require_slack(settings)
    with sole_owner(settings.database_url):
        bot = bootstrap.build(settings)
        secrets = [*settings.secrets, *(s for v in bot.registry.vendors for s in v.secrets)]
        configure_logs(settings.amend_log_level, settings.amend_log_format, secrets)
        _run(_until_told(bot))


async def _until_told(bot: bootstrap.Bot) -> None:
    """Run until SIGTERM or Ctrl-C; the process is gone ten seconds later, whatever hangs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(*_: object) -> None:
        exit_at_last()
        loop.call_soon_threadsafe(stop.set)

    for each in (signal.SIGTERM, signal.SIGINT):
        # The loop's own handlers wait for the loop, and it may be held up by what hangs.
        signal.signal(each, told)
    starting = asyncio.create_task(bot.start())
    stopped = asyncio.create_task(stop.wait())
    tasks: list[asyncio.Task[None]] = [starting]
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if starting.done():
            await starting
            bootstrap.settle()
            tasks.append(asyncio.create_task(warn_of_parts(bot.registry)))
            _tell_of_the_start(bot)
            await stopped
    finally:
        for task in tasks:
            task.cancel()
        await bot.stop()


def _tell_of_the_start(bot: bootstrap.Bot) -> None:
    """The first lines of the log. What is wrong with the settings ended the start before."""
    log.info("Amend listens on %s:%s", bot.settings.amend_host, bot.port)
    for vendor in bot.registry.vendors:
        for warning in vendor.warnings:
            log.warning(warning)


@app.command()
def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 picks a free one.")
    ] = 8100,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open it.")] = False,
) -> None:
    """Start the bot with an emulated Slack workspace and vendor stand-ins, all on loopback."""
    from deploy.sandbox.start import start  # noqa: PLC0415 - only this command needs it

    _run(start(port, open_browser=not no_browser))


@app.command()
def restored() -> None:
    """Say that a backup was brought back: nothing that may have gone out since goes out again."""
    settings = _settings()
    must_exist(settings.database_url)

    async def go() -> Mapping[str, int]:
        store = await _opened(settings)
        try:
            if await anybody_lives(settings.database_url, store):
                message = "Amend is at work on this database: stop it, then say so."
                raise AmendError(message)
            return await take_for_restored(store)
        finally:
            await store.close()

    with sole_owner(settings.database_url):
        told = _run(go())
    print(
        f"{told['ended']} requests that waited have ended; of {told['under_way']} under way the next"
        " start reads at the vendor what became of each record."
    )


@app.command()
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read which settings fit each vendor.")
    ] = False,
) -> None:
    """Check settings, database, Slack and each vendor; exit 1 if any check fails."""
    settings = _settings()
    registry = bootstrap.connect(bootstrap.entries())

    async def go() -> bool:
        asyncio.get_running_loop().set_default_executor(Unwaited())
        fine = True
        async for check in examine(settings, registry, deep=deep):
            fine = fine and check.ok
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.words}")
        for vendor in registry.vendors:
            await vendor.close()
        return fine

    if not _run(go()):
        raise typer.Exit(FAILED)


@app.command()
def manifest(
    url: Annotated[str | None, typer.Option(help="HTTPS base URL; none: Socket Mode.")] = None,
) -> None:
    """Print the Slack app's manifest."""
    try:
        made = app_manifest(bootstrap.entries(), url)
    except ValueError as error:
        raise BadSettings(f"--url: {error}") from None
    print(json.dumps(made, indent=2))


@app.command()
def secret() -> None:
    """Print a fresh key for AMEND_SECRET_KEY."""
    print(Fernet.generate_key().decode())


# --- people ---------------------------------------------------------------------------------------


@people.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(help="CSV: slack_user,vendor,account,role,scope")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove all others.")] = False,
) -> None:
    """Map Slack users to vendor accounts; one bad row and nothing is imported."""
    settings = _settings()
    require_slack(settings)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read: {error}"
        raise BadSettings(message) from None
    rows = parse_people(text, {entry.name: entry.roles for entry in bootstrap.entries()})

    async def go() -> int:
        with slack_answers(settings):
            client = bootstrap.slack_client(settings)
            team = str((await client.auth_test())["team_id"])
            found = await resolve_people(rows, client, team)
        store = await _opened(settings)
        await store.import_people(team, found, replace=replace, actor="cli")
        await store.close()
        return len(found)

    print(f"{_run(go())} entries imported.")


@people.command("export")
def export_people() -> None:
    """Print the mapping as CSV."""
    plain_out().write(export_csv(_run(_everybody())))


@people.command("list")
def list_people() -> None:
    """Show the mapping."""
    table = Table()
    for name in ("Slack user", "Vendor", "Account", "Role", "Scope"):
        table.add_column(name, overflow="fold")
    for user, each in _run(_everybody()):
        cells = (user, each.vendor, each.account, each.role, "; ".join(each.scope))
        table.add_row(*map(escape, cells))
    # Only a terminal has a width; a file or a pipe takes each line whole.
    Console(width=None if sys.stdout.isatty() else LONGEST_LINE).print(table)


async def _everybody() -> list[tuple[str, Account]]:
    settings = _settings()
    must_exist(settings.database_url)
    store = await _opened(settings)
    try:
        return await store.mapped(None)
    finally:
        await store.close()


# --- requests ---------------------------------------------------------------------------------------


@app.command()
def show(request: Annotated[str, typer.Argument(help="A request's id, such as R2ABCDEF.")]) -> None:
    """Print a request's receipt: its state, then one CSV line for each record."""
    _run(_show(request.strip().upper()))


async def _show(request_id: str) -> None:
    settings = _settings()
    must_exist(settings.database_url)
    store = await _opened(settings)
    try:
        request = await store.request(request_id)
        if request is None:
            message = f"there is no request {request_id}."
            raise AmendError(message)
        ledger = Ledger(store)
        counts = (await ledger.counts(request_id)).public()
        said = ", ".join(f"{many} {name}" for name, many in counts.items() if many)
        words = f": {request.words}" if request.words else ""
        out = plain_out()
        out.write(f"{request.id} {request.operation} {request.state} ({said}){words}\n")
        writer = csv.writer(out)
        writer.writerow(["record", "result", "words", "what"])
        async for row in ledger.all(request_id):
            cells = (row.record_id, RESULT_WORDS[Result(row.result)], row.said, row.label)
            writer.writerow(receipt_csv(*cells))
    finally:
        await store.close()


if __name__ == "__main__":
    main()
