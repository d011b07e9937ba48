"""A service in a process of its own, to be stopped or killed, with the phonebox in the test's: its log survives."""

import asyncio
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrations.phonebox import Phonebox
from router.actions import configuring
from router.book import Book
from router.embedded import EmbeddedPostgres
from router.live import Hub
from router.model.configuration import read
from router.model.vault import Vault
from router.paths import TEMPLATES
from router.store.db import make_engine
from router.walk.addresses import Addresses
from router.walk.browser import Browser
from router.walk.cast import Cast, Part
from router.walk.customer import Customer
from router.walk.report import Report
from router.walk.screens import Desk, sign_in
from router.walk.visitor import Visitor
from router.web.passwords import hashed
from tests.stories.forking import Forked

HOUSE = Path(__file__).parent.parent.parent
ACCOUNT, TOKEN = "AC" + "7" * 32, "a token of the carrier"
SECRET = "a secret of at least thirty-two characters"
PASSWORD = "a password of ana"
LANDING = "http://landing.example"
START_SECONDS = 150

PLAN = f"""
[[campaigns]]
key = "luz"
name = "Luz Clara"
caller_id = "+12025550100"
sender = "+12025550100"
countries = ["ES", "US"]

  [campaigns.company]
  name = "Luz Clara SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+12025550100"
  email = "hola@luzclara.example"
  tax_id = "B00000000"
  privacy_url = "https://luzclara.example/privacidad"

  [campaigns.terms]
  months = 0
  starts_in_days = 14
  return_cost = "nothing"
  payment = {{ es = "Domiciliación bancaria." }}
  renewal = {{ es = "Continúa mes a mes." }}
  guarantee = {{ es = "Tres años." }}
  complaints = {{ es = "Por teléfono." }}

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
  connect_seconds = 40
  exclude_seconds = 1

  [[campaigns.sites]]
  key = "luz"
  name = "Tarifa"
  queue = "ventas"
  origins = ["{LANDING}"]

  [[campaigns.products]]
  label = "Tarifa plana"
  unit_minor = 4990
  period = "month"

[[agents]]
login = "ana"
name = "Ana"
password = "{PASSWORD}"
"""


def free_port(count: int = 1) -> int:
    """The first of so many free ports in a row."""
    while True:
        with ExitStack() as stack, suppress(OSError):
            first = 0
            for place in range(count):
                one = stack.enter_context(socket.socket())
                one.bind(("127.0.0.1", first + place if place else 0))
                first = first or int(one.getsockname()[1])
            return first


@asynccontextmanager
async def running(*command: str, until: str, **settings: str) -> AsyncIterator[tuple[Process, str]]:
    """`python -m …` and what it said up to the line with `until`, both streams in one. Killed at the end if it runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, cwd=HOUSE, env=_environ(settings), stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process, await said(process, until)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def forked(module: str, *, until: str, **settings: str) -> AsyncIterator[Forked]:
    """`main()` of a module in a process of its own, once it has said a line with `until`. Killed at the end, too."""
    process = Forked(module, _environ(settings))
    async with process.heard():
        await said(process, until)
        yield process


def _environ(settings: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HABLEMOS_")} | settings


async def said(process: Process | Forked, until: str) -> str:
    """What it prints up to the line that holds `until`."""
    assert process.stdout is not None
    told = ""
    async with asyncio.timeout(START_SECONDS):
        while until not in told:
            line = await process.stdout.readline()
            assert line, f"it ended with {await process.wait()} after saying {told!r}"
            told += line.decode()
    return told


@dataclass
class House:
    """`hablemos serve` at one address over one database, started as often as need be. Its public doors take everything
    from one address, unless it is the `program` itself."""

    database_url: str
    carrier_url: str
    port: int = field(default_factory=free_port)
    process: Forked | None = None
    program: str = "tests.stories.open_doors"
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def dead(self) -> bool:
        return self.process is None or self.process.returncode is not None

    async def start(self, fail_at: str = "") -> None:
        settings = {
            "HABLEMOS_DATABASE_URL": self.database_url, "HABLEMOS_SECRET": SECRET, "HABLEMOS_PORT": str(self.port),
            "HABLEMOS_CARRIER_ACCOUNT": ACCOUNT, "HABLEMOS_CARRIER_TOKENS": TOKEN, "HABLEMOS_LOG_LEVEL": "ERROR",
            "HABLEMOS_CARRIER_URL": self.carrier_url, **({"HABLEMOS_FAIL_AT": fail_at} if fail_at else {}),
        }
        self.process = await self._stack.enter_async_context(forked(self.program, until="serves", **settings))

    async def stop(self) -> int:
        """SIGTERM; the exit code. Raises TimeoutError when it takes longer than 15 s."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            return await self.process.wait()

    async def close(self) -> None:
        await self._stack.aclose()


@contextmanager
def data_dir() -> Iterator[Path]:
    """A directory that the embedded server's user can reach, which pytest's own are not for root."""
    top = Path(tempfile.mkdtemp(prefix="hablemos-story-"))
    top.chmod(0o711)
    try:
        yield top / "data"
    finally:
        if (top / "data" / "database").exists():
            with EmbeddedPostgres(top / "data"):
                pass  # found again, if a killed owner left it running, and stopped
        shutil.rmtree(top, ignore_errors=True)


@asynccontextmanager
async def phonebox() -> AsyncIterator[Phonebox]:
    """A carrier that dials slowly enough for a death to be noticed before the telephone rings."""
    box = Phonebox(account=ACCOUNT, token=TOKEN, templates=TEMPLATES, dial_seconds=0.5)
    await box.start()
    try:
        yield box
    finally:
        await box.stop()


@asynccontextmanager
async def book_of(
    url: str, *, connections: int = 2, limits: dict[str, str] | None = None
) -> AsyncIterator[Book]:
    """The house's database, looked into from the test."""
    engine = make_engine(url, connections=connections, limits=limits)
    try:
        yield Book(engine, Hub(), Vault(SECRET), "http://127.0.0.1:1")
    finally:
        await engine.dispose()


async def configure(book: Book) -> None:
    plan = read(PLAN)
    hashes = {agent.login: await hashed(agent.password or "") for agent in plan.agents}
    async with book.writing() as w:
        await configuring.apply(w, plan, hashes)


@asynccontextmanager
async def actors(house: House, folder: Path) -> AsyncIterator[Cast]:
    """Ana at her desk, and a customer with a telephone, all as outsiders."""
    addresses = Addresses(house.url, house.carrier_url, LANDING, "luz", PASSWORD, ("ana",), "")
    async with AsyncExitStack() as stack:
        outsider = await stack.enter_async_context(Browser.started())
        cast = Cast(addresses, folder, Report(), stack, outsider)
        browser = await cast.browser()
        await sign_in(browser, addresses, "ana", "/desk")
        desk = Desk(browser, house.url, cast.telephone("client:ana"), cast.bell)
        await stack.enter_async_context(desk.open())
        await desk.answers_pings()
        cast.desks.append(desk)
        own = await cast.browser()
        customer = Customer(own, cast.telephone("+12025550155"), "Carmen Núñez")
        cast.parts.append(Part(Visitor(own, addresses), customer))
        await cast.parts[0].visitor.load_config()
        yield cast


def asked(box: Phonebox) -> list[tuple[str, str]]:
    """What the carrier was asked to do and did: what, and our own name of it, which each order has for itself."""
    return [(what, _one(form["StatusCallback"])) for what, form in _orders(box)]


def texts(box: Phonebox) -> list[str]:
    """Every text the carrier was asked to send."""
    return [_one(form["Body"]) for what, form in _orders(box) if what == "Messages"]


def _orders(box: Phonebox) -> list[tuple[str, Any]]:
    """The texts and legs that were asked for and taken, with their forms."""
    requests = [one for one in box.log.read() if one["kind"] == "rest"]
    done = [one for one in requests if one["method"] == "POST" and one["status"] == 201]
    found = [(re.search(r"/(Messages|Participants)\.json$", one["path"]), one["form"]) for one in done]
    return [(what[1], form) for what, form in found if what]


def _one(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)
