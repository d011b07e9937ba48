"""First chapter: the doors, the people who work here, and what is refused."""

import re

from router.walk.browser import hold
from router.walk.cast import Cast, Chapter, Part, finish
from router.walk.customer import Customer
from router.walk.phone import unused
from router.walk.screens import Desk, Wallboard, sign_in
from router.walk.visitor import Visitor

opening = Chapter()
PEOPLE = ("Carmen Núñez", "Íñigo Etxeberria")


@opening.step("The landing page carries the widget, under a policy that allows nothing else")
async def landing_page(cast: Cast, seen: list[str]) -> None:
    where = cast.addresses
    page = await cast.outsider.get(f"{where.landing}/")
    hold(page.status == 200, f"the landing page answered {page.status}")
    tag = page.page.first("script", where=lambda one: one["src"] == f"{where.service}/w.js")
    hold(tag is not None and tag["data-key"] == where.site and tag.has("async"), "the widget's tag is missing")
    policy = page.headers.get("Content-Security-Policy", "")
    hold(f"script-src {where.service}" in policy and "unsafe" not in policy, "the landing page's policy is not strict")
    for phone in await unused(cast.outsider, where.phonebox, len(PEOPLE)):
        browser = await cast.browser()
        name = PEOPLE[len(cast.parts)]
        cast.parts.append(Part(Visitor(browser, where), Customer(browser, phone, name)))


@opening.step("The widget loads in two parts and knows its site, the consent and who is there")
async def widget(cast: Cast, seen: list[str]) -> None:
    script = await cast.outsider.get(f"{cast.addresses.service}/w.js", Accept="*/*")
    hold(script.status == 200 and "javascript" in script.headers["Content-Type"], f"w.js answered {script.status}")
    found = re.search(r"/w/\w+/panel\.js", script.text)
    hold(found is not None, "w.js names no panel")
    panel = await cast.outsider.get(f"{cast.addresses.service}{found[0] if found else ''}", Accept="*/*")
    hold(panel.status == 200 and "immutable" in panel.headers.get("Cache-Control", ""), "the panel cannot be kept")
    for part in cast.parts:
        await part.visitor.load_config()
    boxes = {box["purpose"]: box for box in cast.parts[0].visitor.config["consents"]}
    hold({"requested", "commercial"} <= set(boxes), "the two consents are not asked for one by one")
    hold(all(box["text"] and box["version"] for box in boxes.values()), "a consent has no words or no version")
    seen.append(f"w.js {len(script.body)} bytes")


@opening.step("The supervisor signs in and sees the wallboard; a wrong password does not")
async def supervisor(cast: Cast, seen: list[str]) -> None:
    where = cast.addresses
    stranger = await cast.browser()
    page = await stranger.get(f"{where.service}/login")
    form = page.page.form_to("/login")
    hold(form is not None, "the login has no form")
    guess = {"login": where.supervisor, "password": "not the password"}
    wrong = await stranger.submit(page, form, **guess) if form else page
    hold(wrong.status == 401, f"a wrong password was answered {wrong.status}")
    browser = await cast.browser()
    await sign_in(browser, where, where.supervisor, "/wallboard")
    cast.board = Wallboard(browser, f"{where.service}/wallboard", cast.bell)
    await cast.stack.enter_async_context(cast.board.open())
    await cast.board.sees("figures", lambda: cast.wallboard.figure("line") and cast.wallboard.figure("figures"))


@opening.step("Two agents sign in and their browsers answer the house's pings")
async def agents(cast: Cast, seen: list[str]) -> None:
    for login in cast.addresses.agents:
        browser = await cast.browser()
        page = (await sign_in(browser, cast.addresses, login, "/desk")).page
        desk = Desk(browser, cast.addresses.service, cast.telephone(f"client:{login}"), cast.bell)
        await cast.stack.enter_async_context(desk.open())
        await desk.answers_pings()
        cast.desks.append(desk)
        cast.names.append(next((one.text for one in page.of_class("who")), login))
    refused = await cast.desks[0].browser.get(f"{cast.addresses.service}/wallboard")
    hold(refused.status == 403, f"an agent may open the wallboard ({refused.status})")
    seen.append(" and ".join(cast.names))


@opening.step("What an earlier story left behind is brought to its end, and both say they are ready")
async def ready(cast: Cast, seen: list[str]) -> None:
    for desk in cast.desks:
        await desk.do("wish-off")
        await finish(cast, desk)
        await desk.becomes("off")
    first, left = cast.desks[0], 0
    while cast.wallboard.figure("line") != "0":
        await first.do("wish-ready")
        await first.sees("what waits", lambda: first.rings_for() or cast.wallboard.figure("line") == "0", 30)
        left += first.rings_for()
        await finish(cast, first)
    await first.do("wish-off")
    for desk in cast.desks:
        await desk.do("wish-ready")
        await desk.becomes("free")
    await cast.wallboard.sees("both free", lambda: set(cast.names) <= set(cast.wallboard.people("free")))
    if left:
        seen.append(f"{left} left over")


@opening.step("What is not in order is refused by name, and rings nowhere")
async def refused(cast: Cast, seen: list[str]) -> None:
    visitor, number = cast.parts[0].visitor, cast.parts[0].phone.number
    good = visitor.lead(number, PEOPLE[0])
    unasked = {**good, "consent": {**good["consent"], "purposes": []}}
    cases = [
        ("no consent", unasked, 422, "/consent/purposes"),
        ("an impossible number", {**good, "phone": "+34 123"}, 422, "/phone"),
        ("an unknown site", {**good, "site": "nobody"}, 422, "/site"),
        ("an unknown field", {**good, "colour": "blue"}, 422, ""),
        ("a wrong type", {**good, "name": 7}, 422, ""),
        ("half a document", b'{"site": "', 400, ""),
        ("a huge document", {**good, "message": "x" * 70_000}, 413, ""),
    ]
    for what, body, status, pointer in cases:
        answer = await visitor.post(body)
        problem = answer.json()
        hold(answer.status == status, f"{what} was answered {answer.status} instead of {status}")
        hold("problem+json" in answer.headers["Content-Type"] and problem["code"], f"{what}: no problem document")
        named = [each["pointer"] for each in problem.get("errors", [])]
        hold(not pointer or pointer in named, f"{what}: the field {pointer} is not named but {named}")
    foreign = await visitor.post(good, origin="http://elsewhere.example")
    hold(foreign.status == 403, f"a foreign page was answered {foreign.status}")
    hold(not any(desk.rings_for() for desk in cast.desks), "something rings")
    seen.append(f"{len(cases) + 1} refusals")
