"""Last chapter: a quote that is not signed, what anybody can verify meanwhile, and the call that comes of it."""

import ssl

from router.walk import forgery
from router.walk.browser import hold
from router.walk.calling import ask
from router.walk.cast import Cast, Chapter, hang_up, ring_for, talk
from router.walk.selling import line, products, send_quote, sign

returning = Chapter()
LOOKED_AT = {"integrity", "revisions", "signer", "trust", "time", "level"}
STALE_SECONDS = 40
"""How long a quote of the demonstration may take to be found quiet: it rests 10 s before."""


@returning.step("Another customer is called by the other agent, gets a quote, and does not sign it")
async def unsigned(cast: Cast, seen: list[str]) -> None:
    part = cast.parts[1]
    await ask(cast, part, commercial=True)
    desk = await ring_for(cast, part)
    hold(desk is cast.desks[1], f"it rings at {cast.name_of(desk)}, who was not free longest")
    await talk(cast, desk, part)
    await send_quote(desk, part, line(0, *products(desk)[0]))
    await hang_up(desk, part, "quote_sent")
    await part.status.hears("finished")
    seen.append(f"{cast.name_of(desk)} sent {part.quote}")


async def verified(cast: Cast, pdf: bytes) -> dict[str, bool]:
    """What the house says of a document, line by line, to anybody."""
    answer = await cast.outsider.post(
        f"{cast.addresses.service}/verify", pdf, Content_Type="application/pdf", Accept="application/json"
    )
    hold(answer.status == 200, f"/verify answered {answer.status}")
    said = answer.json()
    lines = {line["name"]: bool(line["holds"]) for line in said["lines"]}
    hold(next(iter(lines), "") == "issued" and lines["issued"] == said["identical"], "whose file it is comes not first")
    return lines


@returning.step("Anybody can verify the signed document: identical, and every line holds")
async def verify(cast: Cast, seen: list[str]) -> None:
    lines = await verified(cast, cast.parts[0].signed)
    hold(all(lines.values()), f"these do not hold: {[name for name, holds in lines.items() if not holds]}")
    hold(set(lines) >= LOOKED_AT, f"only {list(lines)} were looked at")
    seen.append(", ".join(lines))


@returning.step("A flipped bit, junk behind the end and an added revision are each reported")
async def forged(cast: Cast, seen: list[str]) -> None:
    for forge in (forgery.flipped, forgery.appended, forgery.revised):
        lines = await verified(cast, forge(cast.parts[0].signed))
        broken = [name for name, holds in lines.items() if not holds]
        hold("issued" in broken and len(broken) > 1, f"{forge.__name__} is not reported but as {broken}")
        seen.append(f"{forge.__name__}: {', '.join(broken)}")


@returning.step("The root certificate is there for who verifies without us")
async def root(cast: Cast, seen: list[str]) -> None:
    answer = await cast.outsider.get(f"{cast.addresses.service}/pki/root.pem")
    hold(answer.status == 200, f"it answered {answer.status}")
    ssl.PEM_cert_to_DER_cert(answer.text)
    (cast.folder / "root.pem").write_bytes(answer.body)


@returning.step("The quote has gone quiet: it rings, and the desk says why, and why calling is allowed")
async def quiet(cast: Cast, seen: list[str]) -> None:
    part = cast.parts[1]
    desk = await ring_for(cast, part, STALE_SECONDS)
    hold(desk is cast.desks[0], f"it rings at {cast.name_of(desk)}, who was not free longest")
    facts = [one.text for one in desk.regions["work"].all("dd")]
    hold(any(part.quote in fact for fact in facts), f"the ring does not name the quote {part.quote}")
    allowed = desk.regions["person"].first(where=lambda one: one.has("data-rules"))
    hold(allowed is not None and "consent.commercial" in allowed["data-rules"], "why the guard allows it is not said")
    seen.append(f"{facts[0]}; {allowed.text if allowed else ''}")


@returning.step("One agent declines; it goes to the other with its age, and both see it")
async def declined(cast: Cast, seen: list[str]) -> None:
    first, second = cast.desks
    await first.do("reject")
    desk = await ring_for(cast, cast.parts[1])
    hold(desk is second, "it rings again at the one who declined")
    hold(not first.rings_for(), "it still rings at the one who declined")


@returning.step("The customer is called back, opens the same link and signs")
async def signed_after_all(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[1], cast.parts[1]
    await talk(cast, desk, part)
    await part.customer.open(part.link)
    await sign(desk, part)
    await hang_up(desk, part, "sold")
    (cast.folder / "signed-2.pdf").write_bytes(part.signed)
    hold(not any(desk.ever_showed(secret) for secret in part.customer.secrets), "the desk showed a secret")


@returning.step("That document holds too, and the agents go home")
async def home(cast: Cast, seen: list[str]) -> None:
    lines = await verified(cast, cast.parts[1].signed)
    hold(all(lines.values()), f"these do not hold: {[name for name, holds in lines.items() if not holds]}")
    for desk in cast.desks:
        await desk.do("wish-off")
        await desk.becomes("off")
