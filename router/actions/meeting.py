"""Meeting: a room where visitor and agent see each other. We only carry what their browsers say to find each other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.book import Writing
from router.model.base import vouched
from router.model.conversations import Room, Side
from router.model.errors import Conflict, NotAllowedNow
from router.model.tasks import Task
from router.model.vault import hash_token
from router.store import rooms

ROOM_CLOSED = "This video call is over. To talk with us again, please call us."
ROOM_TAKEN = "This video call is open in another browser. Leave it there first, then join here."


async def join(w: Writing, task: Task, claim: str) -> Room:
    """The visitor enters with the secret of his browser: one browser at a time. Raises Conflict when the room is over,
    or another browser is in it."""
    room = await rooms.of_task(w.session, task, w.now)
    if task.state.final or not room.open(w.now):
        raise Conflict(ROOM_CLOSED)
    mine = hash_token(claim)
    if room.claimed_hash not in (None, mine) and room.has(Side.visitor, w.now):
        raise Conflict(ROOM_TAKEN)
    room.claimed_hash = mine
    await _seen(w, room, task, Side.visitor, w.now)
    return room


def claimed_by(room: Room, claim: str) -> bool:
    """Whether this browser is the one that may be in the room for the visitor."""
    return bool(claim) and room.claimed_hash == hash_token(claim)


async def seen(w: Writing, room_id: int, side: Side) -> None:
    """This side's browser has answered a ping. Raises Conflict when the room is over."""
    room = vouched(await w.session.locked(Room, room_id))
    if not room.open(w.now):
        raise Conflict(ROOM_CLOSED)
    await _seen(w, room, vouched(await w.session.get(Task, room.task_id)), side, w.now)


async def left(w: Writing, room_id: int, side: Side) -> None:
    """This side's browser has left the room; it may come back."""
    room = vouched(await w.session.locked(Room, room_id))
    await _seen(w, room, vouched(await w.session.get(Task, room.task_id)), side, None)


async def _seen(w: Writing, room: Room, task: Task, side: Side, at: datetime | None) -> None:
    was = room.has(side, w.now)
    if side is Side.visitor:
        room.visitor_seen_at = at
    else:
        room.agent_seen_at = at
    await w.session.flush()
    if room.has(side, w.now) != was:
        w.hint(f"room:{room.id}")
        if task.agent_id is not None:
            w.hint(f"agent:{task.agent_id}")


async def signal(w: Writing, room_id: int, sender: Side, body: Mapping[str, Any]) -> int:
    """Leaves a word for the other side; its id. Raises Conflict when the room is over, NotAllowedNow when too much
    waits."""
    room = vouched(await w.session.locked(Room, room_id))
    if not room.open(w.now):
        raise Conflict(ROOM_CLOSED)
    made = await rooms.tell(w.session, room, sender.other, body, w.now)
    if made is None:
        raise NotAllowedNow("Too much is waiting in this room. Please try again in a minute.")
    w.hint(f"room:{room.id}")
    return made


async def end(w: Writing, task: Task) -> None:
    """The room is over, for good; nothing of what was signalled is kept."""
    room = await rooms.find(w.session, task.id)
    if room is None:
        return
    locked = vouched(await w.session.locked(Room, room.id))
    locked.ended_at = locked.ended_at or w.now
    await w.session.flush()
    await rooms.wipe(w.session, room.id)
    w.hint(f"room:{room.id}")
