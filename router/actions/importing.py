"""Importing: a list of persons is looked at first, then taken in, some rows a transaction.

What became of a row, the lead made of it and the import's place are one transaction: whatever is killed goes on where
it stood. A number has one key in one file, so that the same file never rings anybody twice; and whoever came from any
list lately is a duplicate.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from msgspec.structs import replace

from router.actions import foreseen, quote_lists
from router.actions.foreseen import Known, denied
from router.actions.intake import take_in_each
from router.book import Writing
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.elsewhere import phone_fault
from router.model.errors import Conflict, Invalid, NotFound
from router.model.forms import plain
from router.model.guard import Purpose
from router.model.imports import CHUNK, Import, ImportKind, ImportRow, ImportState, Outcome
from router.model.intake import Agreed, Taken, Wanted, Work
from router.model.leads import Intent
from router.model.sheets import FIELDS, MOST_CELL, NEEDED, Sheet, guess, read_date, read_phone, says_yes
from router.model.tasks import TIER_LIST
from router.store import imports
from router.store.imports import Line

HINT = "imports"
LISTED_AGAIN = timedelta(days=30)
"""Nobody comes from a list twice within this time."""
KEEP_CELLS = timedelta(days=30)
STUCK = timedelta(hours=1)
VERSION = "list"

@dataclass(frozen=True)
class Basis:
    """The consent stated for a whole list: where it was given, and on which day."""

    source: str
    given_on: date | None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Basis":
        return cls(stored.get("source", ""), read_date(stored.get("given_on", "")))


def begin(
    w: Writing, queue: Queue, agent_id: int, sheet: Sheet, *, file_name: str, sha256: bytes,
    kind: ImportKind = ImportKind.leads,
) -> Import:
    """An import of this sheet; its rows are stored after it, by `store.imports.add_rows`."""
    made = Import(
        campaign_id=queue.campaign_id, queue_id=queue.id, agent_id=agent_id, state=ImportState.receiving,
        file_name=plain(file_name)[:200] or "list.csv", sha256=sha256, encoding=sheet.encoding,
        delimiter=sheet.delimiter, headers=sheet.headers, total=len(sheet.rows), created_at=w.now,
        mapping=dict(guess(sheet.headers, sheet.rows, kind)), kind=kind,
    )
    w.session.add(made)
    return made


async def received(w: Writing, import_id: int) -> None:
    """All its rows are stored."""
    await w.move(Import, import_id, ImportState.uploaded)


async def check(w: Writing, import_id: int, mapping: Mapping[str, int], basis: Mapping[str, str]) -> None:
    """Begins the dry run. Raises Invalid with a pointer, Conflict when the import is past it."""
    found = await w.session.get(Import, import_id)
    if found is None:
        raise NotFound("There is no such import.")
    _plausible(found, mapping, basis, w.now)
    moved = await w.move(
        Import, import_id, ImportState.checking, mapping=dict(mapping), basis=dict(basis), place=0, counts={},
        checked={},
    )
    if moved is None:
        raise Conflict("This import has been started or ended already.")
    w.hint(HINT)


def _plausible(found: Import, mapping: Mapping[str, int], basis: Mapping[str, str], now: datetime) -> None:
    if any(field not in FIELDS[found.kind] or not 0 <= place < len(found.headers) for field, place in mapping.items()):
        raise Invalid("This is not one of the choices.", pointer="/mapping")
    missing = next((field for field in NEEDED[found.kind] if field not in mapping), None)
    if missing == "phone":
        raise Invalid("Say which column holds the telephone number.", pointer="/phone")
    if missing is not None:
        raise Invalid("Say which column holds this.", pointer=f"/{missing}")
    if found.kind is ImportKind.quotes and not {"once", "month", "price"} & mapping.keys():
        raise Invalid("Say which column holds the amount.", pointer="/once")
    if "price" in mapping and {"once", "month"} & mapping.keys():
        raise Invalid("Choose the price of each line, or the totals, not both.", pointer="/price")
    if {"line", "quantity", "period"} & mapping.keys() and "price" not in mapping:
        raise Invalid("Say which column holds the price of one.", pointer="/price")
    if len(set(mapping.values())) != len(mapping):
        raise Invalid("Two fields cannot come from one column.", pointer="/mapping")
    stated = bool(basis.get("source", "").strip() or basis.get("given_on", "").strip())
    if "consent" in mapping or (found.kind is ImportKind.quotes and not stated):
        return
    if len(basis.get("source", "").strip()) < 5:
        raise Invalid("Say where these persons agreed to be contacted with offers, or choose the column that says it.",
                      pointer="/source")
    given_on = read_date(basis.get("given_on", ""))
    if given_on is None or given_on > now.date():
        raise Invalid("Say on which day they agreed; it cannot be in the future.", pointer="/given_on")


async def start(w: Writing, import_id: int) -> None:
    """Takes the checked list in. Raises Conflict when it is not checked, or runs already."""
    await _move(w, import_id, ImportState.running, ImportState.checked, place=0, counts={})


async def pause(w: Writing, import_id: int) -> None:
    await _move(w, import_id, ImportState.paused, ImportState.running)


async def resume(w: Writing, import_id: int) -> None:
    await _move(w, import_id, ImportState.running, ImportState.paused)


async def cancel(w: Writing, import_id: int) -> None:
    """What was taken in stays; nothing more is."""
    await _move(w, import_id, ImportState.canceled, ended_at=w.now)


async def _move(w: Writing, import_id: int, to: ImportState, *frm: ImportState, **values: Any) -> None:
    if await w.move(Import, import_id, to, frm=frm or None, **values) is None:
        raise Conflict("This import has moved on meanwhile. Look at the page again.")
    w.hint(HINT)


async def gone_wrong(w: Writing, import_id: int) -> None:
    """Something failed that is no row's fault: a person looks at it before it goes on."""
    await w.move(Import, import_id, ImportState.paused, data={"reason": "failed"})
    await w.move(Import, import_id, ImportState.canceled, frm=(ImportState.checking,), ended_at=w.now,
                 data={"reason": "failed"})


async def step(w: Writing, found: Import, most: int = CHUNK) -> bool:
    """The next rows of a claimed import, at most so many; whether there may be more."""
    rows = await imports.next_rows(w.session, found.id, found.place, most)
    if rows:
        lines = await _KINDS[found.kind](w, found, rows)
        if found.state is ImportState.running:
            await imports.done(w.session, found.id, lines)
        else:
            await imports.checked(w.session, found.id, lines)
        found.place = rows[-1].number
        found.counts = _added(found.counts, lines)
        await w.session.flush()
    if len(rows) == most:
        return True
    if found.state is ImportState.running:
        await w.move(Import, found.id, ImportState.done, ended_at=w.now, data={"counts": found.counts})
    else:
        await w.move(Import, found.id, ImportState.checked, checked=found.counts, checked_at=w.now,
                     data={"counts": found.counts})
    return False


def _added(counts: Mapping[str, int], lines: Sequence[Line]) -> dict[str, int]:
    words = [word for line in lines for word in (line.outcome, f"{line.outcome}.{line.reason}") if word[-1] != "."]
    return dict(Counter(counts) + Counter(words))


async def _leads(w: Writing, found: Import, rows: Sequence[ImportRow]) -> list[Line]:
    lines = await _judged(w, found, rows)
    return await _taken(w, found, rows, lines) if found.state is ImportState.running else lines


_KINDS: Mapping[ImportKind, Callable[[Writing, Import, Sequence[ImportRow]], Awaitable[list[Line]]]] = {
    ImportKind.leads: _leads,
    ImportKind.quotes: quote_lists.work,
}
"""What is done with the next rows of each kind of list: what each would become, and has become when it is running."""


async def _judged(w: Writing, found: Import, rows: Sequence[ImportRow]) -> list[Line]:
    """What each row would become now."""
    campaign = vouched(await w.session.get(Campaign, found.campaign_id))
    read = [_read(found, campaign, row, w.now) for row in rows]
    phones = sorted({line.phone for line in read if line.phone})
    known = await foreseen.known(w, phones)
    listed = await imports.listed(w.session, found.campaign_id, phones, w.now - LISTED_AGAIN)
    waiting = await imports.waiting(w.session, found.campaign_id, phones)
    seen = await imports.earlier(w.session, found.id, phones, rows[0].number)
    judged = []
    for line in read:
        if line.outcome != Outcome.refused and (reason := denied(known, campaign, line.phone, w.now)):
            line = line._replace(outcome=Outcome.refused.value, reason=reason)
        elif line.outcome != Outcome.refused and line.phone in seen:
            line = line._replace(outcome=Outcome.duplicate.value, reason="in_file")
        elif line.outcome != Outcome.refused and line.phone in listed:
            line = line._replace(outcome=Outcome.duplicate.value, reason="listed")
        elif line.outcome != Outcome.refused and line.phone in waiting:
            line = line._replace(outcome=Outcome.attached.value, reason="waits")
        if line.outcome != Outcome.refused:
            seen.add(line.phone)
        judged.append(line)
    return judged


def _read(found: Import, campaign: Campaign, row: ImportRow, now: datetime) -> Line:
    """The row by itself: its number, and whether its person has agreed."""
    def refused(reason: str, field: str = "", phone: str = "") -> Line:
        return Line(row.number, phone, Outcome.refused.value, reason, field=field)

    if any(len(cell) > MOST_CELL for cell in row.cells):
        return refused("too_long")
    written = row.cell(found.mapping, "phone")
    if not written:
        return refused("phone_missing", "phone")
    try:
        phone = read_phone(written, campaign.country)
    except Invalid as error:
        return refused(phone_fault(error.sentence), "phone")
    if "consent" in found.mapping and not says_yes(row.cell(found.mapping, "consent")):
        return refused("no_consent", "consent", phone)
    given = row.cell(found.mapping, "consent_date")
    given_on = read_date(given) if given else None
    if given and (given_on is None or given_on > now.date()):
        return refused("consent_date", "consent_date", phone)
    return Line(row.number, phone, Outcome.taken.value, "")


async def _taken(w: Writing, found: Import, rows: Sequence[ImportRow], lines: Sequence[Line]) -> list[Line]:
    """Makes leads of the rows that are to become some. One that cannot be stored never fails its neighbours."""
    campaign = vouched(await w.session.get(Campaign, found.campaign_id))
    queue = vouched(await w.session.get(Queue, found.queue_id))
    known = await foreseen.known(w, ())
    wanted = {
        line.number: _wanted(w, found, campaign, queue, row, line.phone, known)
        for row, line in zip(rows, lines, strict=True) if line.outcome in (Outcome.taken, Outcome.attached)
    }
    taken = await take_in_each(w, wanted)
    return [_after(line, taken.get(line.number)) if line.number in wanted else line for line in lines]


def _after(line: Line, taken: Taken | None) -> Line:
    if taken is None:
        return line._replace(outcome=Outcome.refused.value, reason="not_stored")
    if taken.replayed:
        return _now(line, Outcome.duplicate, "listed", taken)
    if taken.attached:
        return _now(line, Outcome.attached, "waits", taken)
    return _now(line, Outcome.taken, "", taken)


def _now(line: Line, outcome: Outcome, reason: str, taken: Taken) -> Line:
    return line._replace(outcome=outcome.value, reason=reason, lead_id=taken.lead_id)


def _wanted(
    w: Writing, found: Import, campaign: Campaign, queue: Queue, row: ImportRow, phone: str, known: Known
) -> Wanted:
    names = [plain(row.cell(found.mapping, field))[:200] for field in ("name", "surname")]
    said = {field: plain(row.cell(found.mapping, field))[:2000] for field in ("email", "message")}
    name = " ".join(part for part in names if part)
    opens = foreseen.opens(known, campaign, phone, w.now)
    due_at = opens if opens > w.now else None
    scope, key = f"list:{campaign.id}", f"{found.sha256.hex()[:40]}:{phone}"
    text, given_on = _consent(found, row)
    base = Wanted(
        line=queue.line, phone=phone, name=name,
        locale=row.cell(found.mapping, "locale")[:2].lower() or campaign.locale, intent=Intent.list, method="list",
        status_token=w.vault.token("status", scope, key), work=Work(tier=TIER_LIST, due_at=due_at),
        claims={field: value for field, value in {"name": name, **said}.items() if value},
        source={"party": "list", "list": found.file_name, "import": found.id, "row": row.number},
        agreed=(Agreed((Purpose.commercial.value,), text, VERSION),), scope=scope, key=key,
    )
    return replace(base, client_at=datetime.combine(given_on, time(), tzinfo=UTC)) if given_on else base


def _consent(found: Import, row: ImportRow) -> tuple[str, date | None]:
    """The receipt's words, as the list has them, and the day they are of."""
    basis = Basis.of(found.basis)
    source = plain(row.cell(found.mapping, "consent_source")) or basis.source
    given_on = read_date(row.cell(found.mapping, "consent_date")) or basis.given_on
    column = found.mapping.get("consent")
    said = f"{found.headers[column]}: {plain(row.cell(found.mapping, 'consent'))}" if column is not None else ""
    parts = [said, source, given_on.isoformat() if given_on else "", f"{found.file_name} #{row.number}"]
    return " · ".join(part for part in parts if part)[:2000], given_on
