"""Second chapter: from the click to a conversation."""

import secrets
import time

from router.walk.browser import hold
from router.walk.cast import Cast, Chapter, Part, ring_for, talk

calling = Chapter()
RING_MS = 1000
IN_ORDER = ("waiting", "ringing", "accepted", "calling", "talking")


async def ask(cast: Cast, part: Part, *, commercial: bool) -> float:
    """The visitor presses "Call me now"; the moment of it (`time.perf_counter`)."""
    body, key = part.visitor.lead(part.phone.number, part.name, commercial=commercial), secrets.token_hex(16)
    began = time.perf_counter()
    answer = await part.visitor.post(body, key=key)
    hold(answer.status == 201, f"the request was answered {answer.status}: {answer.text[:200]}")
    part.lead = answer.json()
    part.status = await cast.stack.enter_async_context(part.visitor.following(part.lead))
    again = await part.visitor.post(body, key=key)
    hold(again.status == 201 and again.json() == part.lead, "the same request again was answered differently")
    hold(again.headers.get("Idempotent-Replayed") == "true", "the repeated answer is not marked as such")
    other = await part.visitor.post({**body, "name": "Somebody Else"}, key=key)
    hold(other.status == 422, f"another request under the same key was answered {other.status}")
    return began


@calling.step("A visitor asks to be called: 201 and an address to follow; asked again, the same answer")
async def lead(cast: Cast, seen: list[str]) -> None:
    part = cast.parts[0]
    asked = await part.visitor.preflight()
    hold(asked.headers.get("Access-Control-Allow-Origin") == cast.addresses.landing, "the landing page may not post")
    began = await ask(cast, part, commercial=False)
    desk = await ring_for(cast, part)
    cast.report.lead_to_ring_ms = round((max(desk.rings.values()) - began) * 1000)
    own = await part.visitor.browser.get(part.lead["status_url"])
    hold(own.status == 200 and own.page.first(where=lambda one: one.has("data-state")), "the request has no page")


@calling.step("It rings within a second at one desk, at the one who has been free longest")
async def ring(cast: Cast, seen: list[str]) -> None:
    part = cast.parts[0]
    desk = await ring_for(cast, part)
    hold(desk is cast.desks[0], f"it rings at {cast.name_of(desk)}, who was not free longest")
    hold(desk.person() == part.name, "the ring does not say who it is")
    took = cast.report.lead_to_ring_ms
    hold(took is not None and took <= RING_MS, f"it took {took} ms from the request to the ring")
    seen.append(f"{cast.name_of(desk)} after {took} ms")


@calling.step("The visitor reads whose telephone is ringing")
async def told(cast: Cast, seen: list[str]) -> None:
    seen.append(await cast.parts[0].status.hears("ringing", cast.names[0]))


@calling.step("The other agent cannot take it")
async def not_his(cast: Cast, seen: list[str]) -> None:
    first, second = cast.desks
    answer = await second.press(first.button("accept"))
    hold(answer.status == 409, f"another agent's accept was answered {answer.status}")
    hold(first.doing() == "ringing", "it does not ring any more")


@calling.step("Accepted: the agent's telephone picks up, the customer's rings and is answered, both talk")
async def accept(cast: Cast, seen: list[str]) -> None:
    part, desk = cast.parts[0], cast.desks[0]
    button = desk.button("accept")
    took = await talk(cast, desk, part)
    cast.report.accept_to_bridge_ms = round(took * 1000)
    late = await desk.press(button)
    hold(late.status == 409, f"a second accept was answered {late.status}")
    await part.status.hears("talking", cast.names[0])
    heard = [each["state"] for each in part.status.told]
    hold(heard == sorted(heard, key=IN_ORDER.index), f"the visitor was told out of order: {heard}")
    seen.append(f"{cast.report.accept_to_bridge_ms} ms besides ringing")


@calling.step("The wallboard shows the call and who is in it")
async def on_the_board(cast: Cast, seen: list[str]) -> None:
    board = cast.wallboard
    await board.sees("the call", lambda: board.figure("figures") == "1" and board.people("talking") == [cast.names[0]])
    hold(board.figure("line") == "0", "somebody waits, says the wallboard")
