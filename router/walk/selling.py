"""Third chapter: a quote, and a signature while still on the line."""

from decimal import ROUND_HALF_UP, Decimal

from router.walk import papers
from router.walk.browser import hold
from router.walk.cast import Cast, Chapter, Part, hang_up
from router.walk.screens import STEPS, Desk

selling = Chapter()
CENT = Decimal("0.01")
REQUIRED = {"offer", "data"}
Fields = dict[str, str]


def line(place: int, label: str, price: str, period: str, *, quantity: int = 1, tax: int = 21) -> Fields:
    values = {"label": label, "quantity": str(quantity), "unit_minor": price, "tax_bp": str(tax), "period": period}
    return {f"{name}.{place}": value for name, value in values.items()}


def products(desk: Desk) -> list[tuple[str, str, str]]:
    """What the desk offers to be sold: label, price and how often it is paid, as its script would write them."""
    options = [one for one in desk.quote_form().element.all("option") if one["data-label"]]
    prices = [f"{Decimal(one['data-price']) / 100:.2f}".replace(".", ",") for one in options]
    return [(one["data-label"], price, one["data-period"]) for one, price in zip(options, prices, strict=True)]


def payable(lines: Fields, period: str) -> Decimal:
    """What these lines come to with tax; the tax is rounded once for each rate."""
    net: dict[Decimal, Decimal] = {}
    for place in range(len(lines) // 5):
        if lines[f"period.{place}"] == period:
            rate = Decimal(lines[f"tax_bp.{place}"])
            price = Decimal(lines[f"unit_minor.{place}"].replace(",", "."))
            net[rate] = net.get(rate, Decimal(0)) + price * int(lines[f"quantity.{place}"])
    return sum((sum_ + (sum_ * rate / 100).quantize(CENT, ROUND_HALF_UP) for rate, sum_ in net.items()), Decimal(0))


async def send_quote(desk: Desk, part: Part, lines: Fields) -> None:
    """Writes the lines into the form and sends it; the link that comes to the customer is in the part afterwards."""
    desk.reached.clear()
    answer = await desk.press(desk.quote_form().element, **lines)
    hold(answer.status == 200, f"the quote was answered {answer.status}: {answer.text[:200]}")
    part.link = await part.customer.link()
    await desk.sees("the text delivered", lambda: desk.standing()[:1] == [STEPS.index("delivered")])
    part.quote = next((one.text for one in desk.regions["person"].of_class("ref")), "")
    hold(part.quote, "the desk does not show the quote's number")


async def sign(desk: Desk, part: Part) -> None:
    """Code, consents, signature, sealed copy: of an offer that is open in the customer's browser."""
    await part.customer.give(await part.customer.ask_code())
    await part.customer.sign(*REQUIRED)
    link = await part.customer.copy_link()
    part.signed = await part.customer.copy(link)
    hold(part.signed == await part.customer.sealed(), "the copy in the text is not the one on the page")
    await desk.sees("sealed", lambda: desk.standing()[:1] == [STEPS.index("sealed")])


@selling.step("A character the document cannot show is refused by name, with the field it stands in")
async def unprintable(cast: Cast, seen: list[str]) -> None:
    form = cast.desks[0].quote_form().element
    answer = await cast.desks[0].press(form, **line(0, "Tarifa \U00013080", "1,00", "once"))
    hold(answer.status == 422, f"it was answered {answer.status}")
    problem = answer.json()
    hold("13080" in problem["detail"] or "\U00013080" in problem["detail"], "the character is not named")
    hold(problem["errors"][0]["pointer"], "the field is not named")


@selling.step("On the line, the agent writes a quote of three lines and two tax rates, and sends it")
async def quote(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[0], cast.parts[0]
    monthly, once = (next(one for one in products(desk) if one[2] == period) for period in ("month", "once"))
    battery = line(2, "Batería de 5 kWh (montaje incluido)", "1234,56", "once")
    lines = line(0, *monthly, quantity=2) | line(1, *once, tax=10) | battery
    await send_quote(desk, part, lines)
    part.due = [payable(lines, "once"), payable(lines, "month")]
    seen.append(f"{part.quote}, delivered by text message")


@selling.step("Looking at the link changes nothing, however often; a guessed one opens nothing")
async def inert(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[0], cast.parts[0]
    for method in ("GET", "GET", "HEAD"):
        looked = await cast.outsider.get(part.link, method=method)
        hold(looked.status == 200, f"the link answered {looked.status} to {method}")
        hold(part.quote not in looked.text and part.name not in looked.text, "a preview of the link tells the offer")
    guessed = await cast.outsider.get(part.link[:-4] + "abcd")
    hold(guessed.status == 404, f"a guessed link answered {guessed.status}")
    hold(desk.standing()[:1] == [STEPS.index("delivered")], "looking at the link counted as opening it")


@selling.step("The customer opens the offer: page and PDF say the same, to the cent")
async def read(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[0], cast.parts[0]
    await part.customer.open(part.link)
    shown = part.customer.offer()
    hold(len(shown) >= 8, f"the page shows only {len(shown)} lines")
    printed = papers.words(await part.customer.pdf("/q/-/offer.pdf"))
    missing = [label for pair in shown for label in pair if papers.squeezed(label) not in printed]
    hold(not missing, f"the PDF does not say what the page says: {missing[:3]}")
    sums = papers.amounts(part.customer.total())
    hold(all(due in sums for due in part.due), f"the page says {sums}, {part.due} are due")
    await desk.sees("the offer opened", lambda: desk.standing()[:1] == [STEPS.index("opened")])
    seen.append(f"{len(shown)} lines, {part.due[0]} € and {part.due[1]} € a month")


@selling.step("The code comes by text message; a wrong one is counted and said, the right one leads on")
async def code(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[0], cast.parts[0]
    right = await part.customer.ask_code()
    await desk.sees("a code sent", lambda: desk.standing()[:1] == [STEPS.index("code sent")])
    await part.customer.give(f"{(int(right) + 1) % 1_000_000:06d}")
    page = part.customer.at.page
    box = page.first("input", where=lambda one: one["name"] == "code")
    said = [one.text for one in page.of_class("say") if one["role"] == "alert"]
    hold(box is not None and box["aria-invalid"] == "true" and said, "a wrong code is not said")
    await part.customer.give(f"{right[:3]} {right[3:]}")
    hold(part.customer.at.page.form_to("/q/-/sign"), "the right code does not lead to the signature")
    seen.append(said[0])


@selling.step("Each consent is asked for by itself: without all that are needed nothing is signed")
async def consents(cast: Cast, seen: list[str]) -> None:
    desk, customer = cast.desks[0], cast.parts[0].customer
    for ticked in ((), ("offer",), ("data",)):
        answer = await customer.sign(*ticked)
        hold(answer.status == 422, f"signing with {ticked} was answered {answer.status}")
        hold(customer.marked() == REQUIRED - set(ticked), f"with {ticked} these are marked: {customer.marked()}")
    hold(desk.standing()[:1] == [STEPS.index("code sent")], "the desk already shows a signature")


@selling.step("Signed while still on the line; sealed, and the copy comes by text message")
async def signed(cast: Cast, seen: list[str]) -> None:
    desk, part = cast.desks[0], cast.parts[0]
    answer = await part.customer.sign(*REQUIRED)
    hold(answer.status == 200 and not answer.page.form_to("/q/-/sign"), f"the signature was answered {answer.status}")
    hold(desk.doing() == "talking", "the call has ended")
    part.signed = await part.customer.copy(await part.customer.copy_link())
    hold(part.signed == await part.customer.sealed(), "the copy in the text is not the one on the page")
    await desk.sees("sealed", lambda: desk.standing()[:1] == [STEPS.index("sealed")])
    pdf, evidence = cast.folder / "signed.pdf", cast.folder / "evidence.json"
    pdf.write_bytes(part.signed)
    evidence.write_bytes(papers.evidence(part.signed))
    cast.report.signed_pdf, cast.report.evidence = str(pdf), str(evidence)
    used = await cast.outsider.get(part.link)
    hold(used.status == 404, f"the used link answered {used.status}")
    seen.append(f"{len(part.signed) // 1024} KiB")


@selling.step("The desk saw delivered, opened, code sent and signed; never the link, never the code")
async def discreet(cast: Cast, seen: list[str]) -> None:
    desk, customer = cast.desks[0], cast.parts[0].customer
    seen_at = {STEPS[place] for place in desk.reached}
    hold(desk.reached == sorted(desk.reached), f"the desk saw the steps out of order: {desk.reached}")
    hold(seen_at >= {"delivered", "opened", "code sent"} and seen_at & {"signed", "sealed"}, f"the desk saw {seen_at}")
    for screen in (*cast.desks, cast.wallboard):
        leaked = [secret for secret in customer.secrets if screen.ever_showed(secret)]
        hold(not leaked, f"{screen.address} showed a secret of the customer")
    seen.append(f"{len(customer.secrets)} secrets looked for on three screens")


@selling.step("The agent hangs up, has time to wrap up, and says: sold")
async def sold(cast: Cast, seen: list[str]) -> None:
    await hang_up(cast.desks[0], cast.parts[0], "sold")
    await cast.parts[0].status.hears("finished")
    await cast.wallboard.sees("no call", lambda: cast.wallboard.figure("figures") == "0")
