"""Lists of quotes: rows of a sheet are read as quotes from elsewhere, judged, and kept.

In a list of lines (one whose prices are of one piece) the rows with the same number are one quote, wherever they stand.
It is judged and kept with the first of them; the others refer to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.actions import elsewhere
from router.actions.elsewhere import Judged, Origin
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.elsewhere import COMMERCIAL, Fault, Ground, Misread, Proof, Told, read_lines, read_told
from router.model.imports import BLANKS, Import, ImportRow, ImportState, Outcome
from router.model.money import MOST_LINES
from router.model.sheets import MOST_CELL, read_date
from router.store import imports
from router.store.imports import Line


@dataclass(frozen=True)
class _Quote:
    """The rows of one quote, in the order of the file, and what they say."""

    rows: Sequence[ImportRow]
    read: Told | Misread

    @property
    def first(self) -> ImportRow:
        return self.rows[0]


async def work(w: Writing, found: Import, rows: Sequence[ImportRow]) -> list[Line]:
    """What each row would become, and has become when the list is running."""
    campaign = vouched(await w.session.get(Campaign, found.campaign_id))
    quotes = await _quotes(w, found, campaign, rows)
    told = {
        one.first.number: one.read for one in quotes.values()
        if isinstance(one.read, Told) and one.first.number >= rows[0].number
    }
    numbers = sorted({one.number for one in told.values()})
    seen = await imports.earlier_quotes(w.session, found.id, numbers, rows[0].number)
    judged = dict(zip(told, await elsewhere.judge(w, campaign, list(told.values()), seen), strict=True))
    if found.state is ImportState.running:
        queue = vouched(await w.session.get(Queue, found.queue_id))
        origins = [_origin(found, number) for number in judged]
        judged = dict(zip(judged, await elsewhere.keep(w, campaign, queue, list(judged.values()), origins),
                          strict=True))
    done: dict[int, Line] = {}
    for row in rows:
        quote = quotes[row.number]
        if row.number == quote.first.number:
            done[row.number] = _line(quote, judged.get(row.number))
        else:
            done[row.number] = _further(row, quote, done.get(quote.first.number) or _before(found, quote.first))
    return list(done.values())


async def _quotes(
    w: Writing, found: Import, campaign: Campaign, rows: Sequence[ImportRow]
) -> dict[int, _Quote]:
    """The quote of each of these rows, by the row's number; in the order of the rows."""
    ground = Ground(campaign.country, campaign.currency, _stated(found.basis))
    if "price" not in found.mapping:
        return {row.number: _Quote([row], _read(found, [row], ground)) for row in rows}
    column = found.mapping["number"]
    keys = {row.number: row.cells[column].strip(BLANKS) for row in rows}
    whole: dict[str, list[ImportRow]] = {}
    # One more than a quote may have: that is how it is found to have too many.
    for row in await imports.rows_of_quotes(w.session, found.id, column, set(keys.values()) - {""}, MOST_LINES + 1):
        whole.setdefault(row.cells[column].strip(BLANKS), []).append(row)
    made = {key: _Quote(of_key, _read(found, of_key, ground)) for key, of_key in whole.items()}
    return {
        row.number: made.get(keys[row.number]) or _Quote([row], _read(found, [row], ground)) for row in rows
    }


def _read(found: Import, rows: Sequence[ImportRow], ground: Ground) -> Told | Misread:
    for place, row in enumerate(rows):
        long = next((field for field in found.mapping if len(row.cell(found.mapping, field)) > MOST_CELL), None)
        if long is not None:
            return Misread(place, Fault(long, "too_long"))
    cells = [{field: row.cell(found.mapping, field) for field in found.mapping} for row in rows]
    if "price" in found.mapping:
        return read_lines(cells, ground)
    read = read_told(cells[0], ground)
    return read if isinstance(read, Told) else Misread(0, read)


def _stated(basis: Mapping[str, Any]) -> Proof:
    """The consent stated for the whole list, if one was."""
    source = str(basis.get("source", ""))
    return Proof((COMMERCIAL,), source=source, given_on=read_date(str(basis.get("given_on", "")))) if source else (
        Proof())


def _origin(found: Import, number: int) -> Origin:
    source = {"party": "quotes", "list": found.file_name, "import": found.id, "row": number}
    return Origin(source, f"{found.file_name} #{number}")


def _line(quote: _Quote, judged: Judged | None) -> Line:
    """What became of a quote's first row: what becomes of the quote."""
    if isinstance(quote.read, Misread):
        return _refused(quote.first, quote)
    one = vouched(judged)
    return Line(quote.first.number, one.told.phone, one.outcome.value, one.reason, one.lead_id, one.quote_id,
                one.told.number, one.field)


def _further(row: ImportRow, quote: _Quote, first: Line) -> Line:
    """What became of another of its rows."""
    if first.outcome == Outcome.refused:
        return _refused(row, quote)
    return Line(row.number, first.phone, Outcome.line.value, "", first.lead_id, first.quote_id, first.reference)


def _refused(row: ImportRow, quote: _Quote) -> Line:
    """The row whose fault it is says what; the others that it is not theirs."""
    misread = quote.read if isinstance(quote.read, Misread) else None
    if misread is not None and quote.rows[misread.place].number == row.number:
        return Line(row.number, "", Outcome.refused.value, misread.fault.reason, field=misread.fault.field)
    return Line(row.number, "", Outcome.refused.value, "lines_other")


def _before(found: Import, first: ImportRow) -> Line:
    """What became of a row in an earlier transaction of this run."""
    outcome = vouched(first.outcome if found.state is ImportState.running else first.expected)
    return Line(first.number, first.phone, outcome.value, first.reason, first.lead_id, first.quote_id, first.reference,
                first.field)
