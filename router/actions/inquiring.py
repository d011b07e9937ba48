"""Inquiring: registers that are asked number by number. Asked when a contact is planned or about to be offered, never
while a number is locked to be dialled: then only what they have said counts, with its age."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from router.book import Writing
from router.model.configuration import RegisterPlan, columns
from router.model.guard import Snapshot, Verdict, to_be_asked
from router.model.registers import SEALED_FOR, UNREACHABLE_AFTER, Inquiry, RegisterService
from router.model.vault import Vault
from router.ports import RegisterAnswer, RegisterDoor
from router.store import inquiries

HINT = "inquiries"
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=10)
LEASE = timedelta(seconds=30)
HIDDEN = "•••"

Line = tuple[str, str, Any, Any]
"""A thing, its field, the old value and the new one; see `configuring.Change`."""


async def want(w: Writing, snapshot: Snapshot, verdict: Verdict) -> None:
    """Has the registers asked that this contact needs an answer of, or will soon. Of whom something else forbids to
    contact nobody is told anything."""
    registers = to_be_asked(snapshot, verdict, w.now)
    if registers and await inquiries.want(w.session, snapshot.phone, registers, w.now):
        w.hint(HINT)


def opened(vault: Vault, service: RegisterService) -> RegisterDoor:
    """Where this register is asked, with its secret."""
    return RegisterDoor(service.url, vault.open(SEALED_FOR, service.sealed).decode(), service.settings)


async def claim(w: Writing, most: int) -> Sequence[tuple[Inquiry, RegisterService]]:
    """Inquiries that are due, at most so many, ours for LEASE; each with where it is asked."""
    return await inquiries.claim(w.session, w.now, w.now + LEASE, most)


async def answered(w: Writing, claimed: Inquiry, answer: RegisterAnswer) -> None:
    """The register has said it. What it dates later than now is of now."""
    kept = await inquiries.settle(
        w.session, claimed, due_at=None, phone="", failures=0, reason="", answered_at=w.now, listed=answer.listed,
        as_of=min(answer.as_of or w.now, w.now), until=answer.until,
    )
    if kept:
        w.fact("inquiry.answered", register=claimed.register, listed=answer.listed)


async def not_answered(w: Writing, claimed: Inquiry, reason: str, *, permanent: bool) -> None:
    """There was no answer: it is asked again ever later; out of reach, only when somebody wants to know anew."""
    failures = UNREACHABLE_AFTER if permanent else claimed.failures + 1
    over = failures >= UNREACHABLE_AFTER
    kept = await inquiries.settle(
        w.session, claimed, failures=failures, reason=reason, due_at=None if over else w.now + pause(failures),
        phone="" if over else claimed.phone,
    )
    if kept and over and claimed.failures < UNREACHABLE_AFTER:
        w.fact("inquiry.unreachable", register=claimed.register, reason=reason)
        w.hint("wallboard")


def pause(failures: int) -> timedelta:
    """After so many failures (from 1): 5 s, then three times as long after each, at most ten minutes."""
    return min(FIRST_PAUSE * 3.0 ** (failures - 1), LONGEST_PAUSE)


async def apply(w: Writing, plan: RegisterPlan) -> list[Line]:
    """Makes one register's door say what the plan says; what changed, never its secret."""
    thing = f"register {plan.name}"
    values: dict[str, Any] = {
        "adapter": plan.adapter, "url": plan.url, "closed": plan.closed,
        "settings": columns(plan, "name", "adapter", "url", "secret", "closed"),
    }
    known = await inquiries.service(w.session, plan.name)
    if known is None:
        sealed = w.vault.seal(SEALED_FOR, plan.secret.encode())
        w.session.add(RegisterService(register=plan.name, sealed=sealed, **values))
        await w.session.flush()
        return [(thing, "", None, None)]
    lines: list[Line] = []
    for name, value in values.items():
        if (old := getattr(known, name)) != value:
            setattr(known, name, value)
            lines.append((thing, name, old, value))
    # What is sealed looks different each time, so the words are compared, not their seals.
    if w.vault.open(SEALED_FOR, known.sealed) != plan.secret.encode():
        known.sealed = w.vault.seal(SEALED_FOR, plan.secret.encode())
        lines.append((thing, "secret", HIDDEN, f"{HIDDEN} (changed)"))
    await w.session.flush()
    return lines
