"""Who has which account at the stand-ins, as `amend people import` takes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.sandbox.vendors.ccs import CcsStandIn
from deploy.sandbox.vendors.qualys import QualysStandIn
from deploy.sandbox.vendors.xpanse import XpanseStandIn
from deploy.sandbox.vendors.zstack import ZstackStandIn

HEAD = "slack_user,vendor,account,role,scope"


def people_csv(rows: Iterable[Sequence[str]]) -> str:
    """A people file of the rows that each stand-in brings."""
    return "\n".join((HEAD, *(row for each in rows for row in each))) + "\n"


PEOPLE_CSV = people_csv(
    each.people for each in (QualysStandIn, CcsStandIn, XpanseStandIn, ZstackStandIn)
)
