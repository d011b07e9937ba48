"""Lists of quotes: rows of a sheet are read as quotes from elsewhere, judged, and kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from router.actions import elsewhere
from router.actions.elsewhere import Judged, Origin
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.elsewhere import COMMERCIAL, Fault, Ground, Proof, Told, read_told
from router.model.imports import Import, ImportRow, ImportState, Outcome
from router.model.sheets import MOST_CELL, read_date
from router.store import imports
from router.store.imports import Line


async def work(w: Writing, found: Import, rows: Sequence[ImportRow]) -> list[Line]:
    """What each row would become, and has become when the list is running."""
    campaign = vouched(await w.session.get(Campaign, found.campaign_id))
    read = [_read(found, campaign, row) for row in rows]
    told = {row.number: one for row, one in zip(rows, read, strict=True) if isinstance(one, Told)}
    numbers = sorted({one.number for one in told.values()})
    seen = await imports.earlier_quotes(w.session, found.id, numbers, rows[0].number)
    judged = dict(zip(told, await elsewhere.judge(w, campaign, list(told.values()), seen), strict=True))
    if found.state is ImportState.running:
        queue = vouched(await w.session.get(Queue, found.queue_id))
        origins = [_origin(found, number) for number in judged]
        judged = dict(zip(judged, await elsewhere.keep(w, campaign, queue, list(judged.values()), origins),
                          strict=True))
    return [_line(row, one, judged.get(row.number)) for row, one in zip(rows, read, strict=True)]


def _read(found: Import, campaign: Campaign, row: ImportRow) -> Told | Fault:
    long = next((field for field in found.mapping if len(row.cell(found.mapping, field)) > MOST_CELL), None)
    if long is not None:
        return Fault(long, "too_long")
    cells = {field: row.cell(found.mapping, field) for field in found.mapping}
    return read_told(cells, Ground(campaign.country, campaign.currency, _stated(found.basis)))


def _stated(basis: Mapping[str, Any]) -> Proof:
    """The consent stated for the whole list, if one was."""
    source = str(basis.get("source", ""))
    return Proof((COMMERCIAL,), source=source, given_on=read_date(str(basis.get("given_on", "")))) if source else (
        Proof())


def _origin(found: Import, number: int) -> Origin:
    source = {"party": "quotes", "list": found.file_name, "import": found.id, "row": number}
    return Origin(source, f"{found.file_name} #{number}")


def _line(row: ImportRow, read: Told | Fault, judged: Judged | None) -> Line:
    if isinstance(read, Fault):
        return Line(row.number, "", Outcome.refused.value, read.reason, field=read.field)
    one = vouched(judged)
    return Line(row.number, one.told.phone, one.outcome.value, one.reason, one.lead_id, one.quote_id, one.told.number,
                one.field)
