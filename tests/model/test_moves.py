"""Transition tables: what may follow what, in the enumerations and on real rows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Enum, LargeBinary, Text, insert, text
from sqlalchemy.dialects.postgresql import JSONB

from router.book import Book, Writing
from router.model import Base
from router.model.base import Numbered, State
from router.model.cadences import Cadence, CadenceVersion, Enrolment, EnrolmentState, Step
from router.model.calls import Call, Leg
from router.model.carts import Cart
from router.model.connectors import Connector
from router.model.consultations import Consultation
from router.model.contract_withdrawals import ContractWithdrawal
from router.model.countersignatures import Countersignature
from router.model.merges import Merge
from router.model.number_searches import NumberSearch
from router.model.quotes import Quote
from router.model.signings import Signing
from router.model.tasks import Task, TaskState
from tests import making

STATES = State.__subclasses__()
NEVER_OVER = {"AlarmState", "InboxState", "MergeState"}
"""What is put right by a person may always be taken up again."""
FIRST = {"ArrivalState": {"waiting", "message", "refused"}, "WithdrawalState": {"taken", "late"}}
"""Where a noun may begin, if not only in the first of its states."""
NOUNS = sorted(
    (
        mapper.class_
        for mapper in Base.registry.mappers
        if isinstance(kind := getattr(mapper.columns.get("state"), "type", None), Enum)
        and kind.enum_class is not None
        and issubclass(kind.enum_class, State)
    ),
    key=lambda noun: noun.__name__,
)


@pytest.mark.parametrize("states", STATES, ids=lambda states: states.__name__)
def test_a_table_speaks_of_its_own_states_and_has_an_end(states: type[State]) -> None:
    for before, after in states.moves().items():
        assert isinstance(before, states)
        assert after
        assert all(isinstance(state, states) for state in after)
    assert any(state.final for state in states) or states.__name__ in NEVER_OVER


@pytest.mark.parametrize("states", STATES, ids=lambda states: states.__name__)
def test_every_state_can_be_reached_from_a_first_one_and_leads_to_an_end(states: type[State]) -> None:
    reached = {states(first) for first in FIRST.get(states.__name__, {next(iter(states))})}
    for _ in states:
        reached |= {after for before in reached for after in states.moves().get(before, ())}
    assert reached == set(states)
    for state in states:
        ahead = {state}
        for _ in states:
            ahead |= {after for before in ahead for after in states.moves().get(before, ())}
        assert any(one.final for one in ahead) or states.__name__ in NEVER_OVER


def test_every_noun_with_states_is_known_here() -> None:
    assert {noun.__table__.c.state.type.enum_class for noun in NOUNS} == set(STATES)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
async def test_legal_moves_move_and_record_one_fact_and_illegal_ones_do_nothing(
    book: Book, noun: type[Numbered]
) -> None:
    states: type[State] = noun.__table__.c.state.type.enum_class  # type: ignore[attr-defined]
    legal = []
    async with book.writing() as w:
        key = await _row(w, noun, next(iter(states)))
    async with book.writing() as w:
        for before in states:
            for after in states:
                await w.session.execute(
                    text(f"update {noun.__tablename__} set state = :state where id = :id"),  # noqa: S608
                    {"state": before.value, "id": key},
                )
                moved = await w.move(noun, key, after)
                assert (moved is not None) == (after in states.moves().get(before, ())), f"{before} to {after}"
                if moved is not None:
                    assert moved.state is after  # type: ignore[attr-defined]
                    legal.append(f"{noun.__name__.lower()}.{after.value}")
    async with book.reading() as r:
        assert [row[0] for row in await r.session.rows(text("select kind from facts order by id"))] == legal


async def test_a_move_narrowed_to_one_source_refuses_the_others(book: Book) -> None:
    async with book.writing() as w:
        queue = await making.queue(w, await making.campaign(w))
        task = await making.task(w, queue, await making.lead(w, queue))
        assert await w.move(Task, task.id, TaskState.withdrawn, frm=(TaskState.scheduled,)) is None
        assert await w.move(Task, task.id, TaskState.withdrawn, where=[Task.tier == 99]) is None
        assert await w.move(Task, task.id, TaskState.withdrawn, frm=(TaskState.queued,)) is not None


_VALUES: dict[type[Any], Any] = {
    Text: "x",
    BigInteger: 1,
    DateTime: datetime(2026, 1, 1, tzinfo=UTC),
    JSONB: {},
    ARRAY: [],
    LargeBinary: b"x",
    Boolean: False,
}


async def _row(w: Writing, noun: type[Numbered], state: State) -> int:
    """A row of any noun, filled by its columns' types; foreign keys name real rows."""
    queue = await making.queue(w, await making.campaign(w))
    lead = await making.lead(w, queue)
    ids = {"campaigns": queue.campaign_id, "queues": queue.id, "leads": lead.id, "contacts": lead.contact_id}
    ids["agents"] = (await making.agent(w)).id
    ids["tasks"] = (await making.task(w, queue, lead)).id
    if noun is Task:
        return ids["tasks"]
    if noun is Cart:
        ids["connectors"] = await _fill(w, Connector, ids)
    if noun is Consultation:
        ids["calls"] = await _fill(w, Call, ids)
        ids["legs"] = await _fill(w, Leg, ids)
    if noun is Merge:
        # Into the one known before: two persons, in this order.
        return await _fill(w, noun, ids, state=state, from_id=(await making.lead(w, queue, "+12025550102")).contact_id)
    if noun is not Quote:
        ids["quotes"] = await _fill(w, Quote, ids)
    if noun in (ContractWithdrawal, Countersignature):
        ids["signings"] = await _fill(w, Signing, ids)
    if noun is NumberSearch:
        return await _fill(w, noun, ids, state=state, queue_id=queue.id)
    if noun is Step:
        ids["cadences"] = await _fill(w, Cadence, ids)
        ids["cadence_versions"] = await _fill(w, CadenceVersion, ids)
        ids["enrolments"] = await _fill(w, Enrolment, ids, state=EnrolmentState.active)
        return await _fill(w, noun, ids, state=state, ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    return await _fill(w, noun, ids, state=state)


async def _fill(w: Writing, noun: type[Numbered], ids: dict[str, int], **values: Any) -> int:
    for column in noun.__table__.columns:
        if column.name in values or column.nullable or column.primary_key:
            continue
        if column.foreign_keys:
            values[column.name] = ids[next(iter(column.foreign_keys)).column.table.name]
        elif isinstance(column.type, Enum):
            values[column.name] = next(iter(column.type.enum_class or ()))
        else:
            values[column.name] = next(value for kind, value in _VALUES.items() if isinstance(column.type, kind))
    rows = await w.session.execute(insert(noun.__table__).values(**values).returning(noun.__table__.c.id))
    return int(rows[0][0])
