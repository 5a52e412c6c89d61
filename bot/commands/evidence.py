"""`amend evidence`: everything about one request in a ZIP, and its checks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from bot.commands.common import FAILED, must_exist, opened, run, settings
from bot.db.audit import Witness
from bot.db.engine import close_engine, open_reader
from bot.db.evidence import make
from bot.domain.errors import AmendError
from bot.proof.evidence import NoBundle, verify
from bot.proof.notes import BadKey, Verifier
from bot.settings import BadSettings

ACTOR = "amend-cli"


def evidence(
    what: Annotated[str, typer.Argument(metavar="REQUEST|verify", help="A request's id.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE.zip]", help="The bundle that is verified.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the bundle goes: a new .zip.")] = None,
    key: Annotated[str, typer.Option(help="The verifier key that signed its checkpoint.")] = "",
) -> None:
    """Write all about a request: REQUEST --out FILE.zip; or check it: verify FILE.zip."""
    if what == "verify":
        if file is None:
            raise BadSettings("evidence verify takes the bundle: evidence verify FILE.zip.")
        raise typer.Exit(_verify(file, key))
    if out is None or file is not None:
        raise BadSettings("evidence takes a request and a file: evidence REQUEST --out FILE.zip.")
    run(_make(what.strip().upper(), out))
    print(f"{out} holds the evidence of {what.strip().upper()}.")


async def _make(request_id: str, out: Path) -> None:
    found = settings()
    must_exist(found.database_url)
    store = await opened(found)
    reader = open_reader(found.database_url)
    witness = Witness.of(found.audit_signer, found.amend_audit_channel)
    part = out.with_name(f"{out.name}.part")
    try:
        await make(store, reader, request_id, part, actor=ACTOR, witness=witness)
        part.replace(out)
    except OSError as error:
        message = f"{out} cannot be written: {error.strerror}."
        raise AmendError(message) from None
    finally:
        with suppress(OSError):
            part.unlink()
        await close_engine(reader)
        await store.close()


def _verify(file: Path, key: str) -> int:
    """Print one line per check; the exit code."""
    try:
        verifier = Verifier.parse(key) if key else None
        checks = verify(file, verifier)
    except BadKey as error:
        message = f"--key: {error}."
        raise BadSettings(message) from None
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadSettings(message) from None
    except NoBundle as error:
        message = f"{file} is no evidence bundle: {error}."
        raise AmendError(message) from None
    for each in checks:
        print(each)
    return FAILED if any(each.why for each in checks) else 0
