"""What a bystander knows of the floor: since when each person waits, and who has said no to whom. He compares every
ring, and the reasons it gives, with that; nothing of it is asked of routing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from router.model.levels import levels_of
from router.model.tasks import WITHOUT_TELEPHONE, TaskKind
from tests.actions.floor import AgentRow, Floor, Ring, Seen, TaskRow

LEASE = timedelta(seconds=15)
FLOORS = {"hot": 100, "solar": 300}
CREDITS = {"solar": [0, 15]}


class Bystander:
    """`since` is when a task's person began to wait, `no_until` until when an agent is spared a task, by both."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.since: dict[int, datetime] = {}
        self.no_until: dict[tuple[int, int], datetime] = {}
        self._task_of: dict[int, int] = {}
        self._before: dict[int, TaskRow] = {}

    def learn(self, seen: Seen) -> None:
        """Takes in what the journal tells, and who is new."""
        rows = {task.id: task for task in seen.tasks}
        for fact in seen.facts:
            task = fact.subject_id or 0
            match fact.kind:
                case "reservation.pending":
                    self._task_of[task] = fact.data["task"]
                case "reservation.rejected" | "reservation.missed":
                    self._said_no(self._task_of[task], fact.agent_id or 0, fact.at)
                case "clock.set_back":
                    self._set_back(fact.at, timedelta(seconds=fact.data["seconds"]))
                case "task.queued" if str(fact.data.get("reason", "")).startswith("agent_"):
                    if fact.data["reason"] != "agent_gone":
                        self._said_no(task, self._before[task].agent_id or 0, fact.at)
                case "task.queued" if fact.data.get("reason") == "transferred":
                    self._said_no(task, fact.data["by"], fact.at)
                case "task.queued" if "reason" not in fact.data:
                    self.since[task] = self._age_of(rows.get(task), fact.at)
        self._before |= rows

    def _set_back(self, now: datetime, back: timedelta) -> None:
        """Whatever counts from a moment that is now to come counts from so much earlier."""
        self.since = {task: at - back if at > now else at for task, at in self.since.items()}
        self.no_until = {pair: at - back if at > now else at for pair, at in self.no_until.items()}

    def _age_of(self, task: TaskRow | None, at: datetime) -> datetime:
        return self.since[task.continues] if task is not None and task.continues else at

    def _said_no(self, task: int, agent: int, at: datetime) -> None:
        queue = self._floor.queues[self._before[task].queue_id - 1]
        self.no_until[task, agent] = at + timedelta(seconds=queue.exclude_seconds)

    def said_no(self, task: int, agent: int) -> bool:
        return self.no_until.get((task, agent), self._floor.clock.now) > self._floor.clock.now

    def judge(self, before: Seen, made: Sequence[Ring], after: Seen) -> None:
        """Of what one quiet replica made of this floor: nobody was overtaken without cause, and each ring's reasons are
        true and name everybody."""
        tasks, agents = ({one.id: one for one in rows} for rows in (before.tasks, before.agents))
        waiting = [task for task in after.tasks if task.state == "queued"]
        taken = {ring.agent_id for ring in made}
        for ring in made:
            task, agent = tasks[ring.task_id], agents[ring.agent_id]
            assert self.may_take(task, agent, before), (task, agent)
            for other in waiting:
                assert not self._overtaken(other, task, agent, before), (other, task, agent)
            self._true(ring, task, agents, before)
            unnamed = {
                one.id for one in before.agents if self._free(one) and one.pool == task.pool
                and set(task.skills) <= set(one.skills)
            } - _named(ring) - taken
            assert not unnamed, f"nothing is said of agents {unnamed} in {ring}"

    def _overtaken(self, other: TaskRow, task: TaskRow, agent: AgentRow, before: Seen) -> bool:
        first, second = self._place(other), self._place(task)
        if other.pool != task.pool or first >= second:
            return False
        return self.may_take(other, agent, before)

    def _place(self, task: TaskRow) -> tuple[int, int, float]:
        """Its place in the order of the whole pool: by tier, then who has waited too long, then the rest."""
        queue = self._floor.queues[task.queue_id - 1]
        since, floor = self.since[task.id], FLOORS.get(queue.key)
        if floor is not None and self._floor.clock.now - since >= timedelta(seconds=floor):
            return task.tier, 0, since.timestamp()
        if queue.newest_first:
            return task.tier, 1, -since.timestamp()
        return task.tier, 1, since.timestamp() - CREDITS.get(queue.key, [0, 0])[task.row]

    def may_take(self, task: TaskRow, agent: AgentRow, seen: Seen) -> bool:
        """Whether the agent could be given it: able, not spared it, and it is kept for nobody else."""
        if not (self._free(agent) and _able(agent, task) and _has_room(agent, task.kind)):
            return False
        return not self.said_no(task.id, agent.id) and self._kept_for(task, seen) in (None, agent.id)

    def _kept_for(self, task: TaskRow, seen: Seen) -> int | None:
        owner = next((one for one in seen.agents if one.id == task.prefers), None)
        if owner is None or task.prefers_until is None or task.prefers_until <= self._floor.clock.now:
            return None
        room = {"chat": owner.chat_capacity, "video": owner.video_capacity}.get(task.kind, owner.call_capacity)
        here = self._there(owner) and _able(owner, task) and room > 0 and not self._capped(owner)
        return owner.id if here and not self.said_no(task.id, owner.id) else None

    def _capped(self, agent: AgentRow) -> bool:
        today = agent.day_ends is not None and agent.day_ends > self._floor.clock.now
        return today and 0 < agent.most_a_day <= agent.taken

    def _there(self, agent: AgentRow) -> bool:
        seen = agent.heartbeat_at
        return agent.wish in ("ready", "ready_once") and seen is not None and seen > self._floor.clock.now - LEASE

    def _free(self, agent: AgentRow) -> bool:
        now = self._floor.clock.now
        rested = agent.back_off_until is None or agent.back_off_until <= now
        rung = any(ring.agent_id == agent.id for ring in self._rings)
        return self._there(agent) and rested and not rung and not self._capped(agent) and any(
            _has_room(agent, kind) for kind in TaskKind
        )

    _rings: Sequence[Ring] = ()

    def look_at(self, before: Seen) -> None:
        """The floor as it is before a round."""
        self._rings = before.rings

    def _true(self, ring: Ring, task: TaskRow, agents: dict[int, AgentRow], before: Seen) -> None:
        first, needs, chosen, *rest = ring.why
        late = self._place(task)[1] == 0
        waited = (self._floor.clock.now - self.since[task.id]).total_seconds()
        assert first["code"] == ("waited_longest" if late else "first_in_tier"), ring
        assert (first["tier"], first["waited_s"]) == (task.tier, round(waited, 1)), ring
        assert needs == {"code": "has_skills", "needs": levels_of(task.skills)}
        assert (chosen["code"] == "preferred") == (task.prefers == ring.agent_id), ring
        for reason in rest:
            match reason["code"]:
                case "passed_over":
                    self._passed(reason["by"], task, agents, before)
                case "later_in_order" if chosen["code"] == "longest_idle":
                    mine = agents[ring.agent_id].idle_since
                    for later in reason["agents"]:
                        assert (mine, ring.agent_id) < (agents[later].idle_since, later), ring

    def _passed(self, by: dict[str, Any], task: TaskRow, agents: dict[int, AgentRow], before: Seen) -> None:
        agent = agents[by["agent"]]
        mine, asked = levels_of(agent.skills), levels_of(task.skills)
        match by["code"]:
            case "lacks":
                assert by["skills"] == sorted(set(asked) - set(mine)), by
            case "level":
                assert by["needs"] == {one: level for one, level in asked.items() if mine[one] < level}, by
            case "excluded":
                assert self.said_no(task.id, agent.id), by
            case "kept_for":
                assert self._kept_for(task, before) == by["owner"] != agent.id, by
            case "full" | "not_beside" | "makes_room":
                assert not _has_room(agent, task.kind) or by["code"] == "makes_room", by
            case "day_full":
                assert 0 < agent.most_a_day <= agent.taken, by
            case other:
                raise AssertionError(f"a reason nobody knows: {other}")


def _able(agent: AgentRow, task: TaskRow) -> bool:
    return agent.pool == task.pool and set(task.skills) <= set(agent.skills)


def _has_room(agent: AgentRow, kind: TaskKind) -> bool:
    """A voice comes beside chats, a chat beside chats; nothing else comes beside anything."""
    if kind is TaskKind.chat:
        return agent.chat_load < agent.chat_capacity and agent.call_load + agent.video_load == 0
    if kind in WITHOUT_TELEPHONE:
        return agent.video_load < agent.video_capacity and agent.call_load + agent.chat_load == 0
    return agent.call_load < agent.call_capacity and agent.video_load == 0


def _named(ring: Ring) -> set[int]:
    named = {ring.agent_id}
    for reason in ring.why:
        if reason["code"] == "passed_over":
            named.add(reason["by"]["agent"])
        named |= set(reason.get("agents", ()))
    return named
