"""The composition root: builds the whole service from its settings. No logic of its own."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop

from integrations.ads.google import GoogleAds
from integrations.ads.meta import Graph, Meta
from integrations.carrier.twilio import TwilioCarrier
from integrations.custody.depository import Depository
from integrations.http import client_session
from integrations.mail.inbound import InboundMail
from integrations.mail.transport import SmtpMail
from integrations.phonebox import Phonebox
from integrations.registers.http import HttpRegister
from integrations.shops.shopify import Shopify
from integrations.shops.woocommerce import WooCommerce
from integrations.signers import providers
from integrations.trust import EmbeddedTrust
from integrations.trust.asked_time import TimeAuthority
from integrations.trust.authority import locked_key, opened_key
from integrations.trust.services import FileSeal, OutsideTime, OwnSeal, TokenSeal
from router import failpoints, logs
from router import plan as planned
from router import replay as replaying
from router.actions import (
    admitting,
    announcing,
    archiving,
    calling,
    certifying,
    choosing_services,
    configuring,
    consulting,
    countersigning,
    covering,
    deferring,
    depositing,
    dispatch,
    elsewhere,
    enrolling,
    entering,
    entrusting,
    erasing,
    housekeeping,
    inquiring,
    intake,
    inviting,
    keeping,
    listing,
    merging,
    nurturing,
    partials,
    promising,
    protecting,
    proving,
    publishing,
    recurring,
    registering,
    rescuing,
    resending,
    revoking,
    sealing,
    seeking,
    signing,
    stationing,
    stepping,
    supervising,
    telling,
    wrapping,
)
from router.alarms import Alarms, Handler, Late
from router.book import Batcher, Book, Writing
from router.canary import Canary
from router.courier import Courier
from router.embedded import EmbeddedPostgres
from router.envoy import Envoy
from router.fetcher import Fetcher
from router.gauges import Recent
from router.importer import Importer
from router.inbox import Inbox
from router.inquirer import Inquirer, trouble_at
from router.live import Hub
from router.model.agents import HEARTBEAT_LEASE
from router.model.carts import CART_DUE
from router.model.configuration import Plan, read
from router.model.errors import Conflict, HouseError
from router.model.forecast import EVERY as FORESEE_EVERY
from router.model.number_searches import SEARCH_LOOK
from router.model.packs import WrongPack
from router.model.planning import Ahead
from router.model.rates import STRICT, Limits
from router.model.registers import RegisterService
from router.model.signing_accounts import SigningAccount
from router.model.trust_accounts import TrustAccount
from router.model.vault import Vault
from router.paths import TEMPLATES
from router.ports import (
    Custodians,
    CustodyAccount,
    LeadSource,
    Mail,
    OutsideError,
    Party,
    Refused,
    Register,
    RegisterDoor,
    SignerAccount,
    TimeAccount,
    TrustProvider,
)
from router.reconcile import Reconciler
from router.rounds import Rounds
from router.settings import Settings, WrongSetting
from router.store import alarms as due_moments
from router.store import authority, configuration, inquiries, packs, sessions, signing_accounts, trust_accounts
from router.store.db import (
    FOR_ROUNDS,
    DatabaseClock,
    ReadSession,
    lacks_schema,
    lost_connection,
    make_engine,
    make_reading_engine,
    unreachable,
)
from router.store.migrations import migrate
from router.tail import Listener, RingTimes, Tail
from router.ticks import Sweep, Ticks
from router.unknowns import Unknowns
from router.web import health, streams
from router.web.doors import Doors
from router.web.passwords import hashed
from router.web.routes import make_app
from router.web.server import Server
from router.web.turn import Turn
from router.wording import wording

log = logging.getLogger(__name__)
T = TypeVar("T")

CONNECTIONS = 12
LEG_SECONDS = 5.0
"""How long the carrier may take to answer: shorter than a leg's lease of eight seconds."""
DEPOSIT_SECONDS = 30.0
"""How long a keeper may take for a bundle: shorter than a deposit's lease of a minute, in which it is made too."""

ALARMS: Mapping[str, Handler | Late] = {
    dispatch.RESERVATION_EXPIRE: dispatch.expire,
    dispatch.CALL_CONNECT: calling.connect_timeout,
    stationing.STATION_ANSWER: stationing.unanswered,
    stationing.STATION_ENDS: stationing.time_is_up,
    stationing.STATION_DIAL: calling.station_dials,
    consulting.CONSULTATION_ANSWER: consulting.unanswered,
    consulting.ASKER_GONE: calling.asker_gone,
    wrapping.TASK_WRAP: wrapping.wrap_up_ends,
    wrapping.WRAP_OVERRUN: wrapping.overruns,
    enrolling.QUOTE_CHECK: nurturing.check_quote,
    enrolling.STEP_DUE: stepping.step_due,
    enrolling.STEP_ANNOUNCE: announcing.due,
    enrolling.STEP_DEFER: deferring.due,
    enrolling.STEP_UNWORKED: enrolling.unworked,
    enrolling.ENROLMENT_RESUME: nurturing.resume_due,
    enrolling.ENROLMENT_END: nurturing.end_due,
    nurturing.MISSED_TEXT: stepping.missed_text,
    signing.EXPIRE: signing.expire,
    signing.UNHEARD: signing.unheard,
    signing.UNDELIVERED: resending.undelivered,
    SEARCH_LOOK: seeking.look,
    inviting.COPY: inviting.copy,
    proving.PROOF_DUE: proving.proof_due,
    revoking.ACKNOWLEDGE: inviting.acknowledge,
    countersigning.TELL: inviting.tell_countersigned,
    countersigning.LATE: countersigning.late,
    sealing.LATE: sealing.late,
    archiving.STAMP: archiving.stamp,
    depositing.LATE: depositing.late,
    entrusting.LOOK: entrusting.look,
    intake.TASK_DUE: intake.task_due,
    listing.TASK_RESTED: intake.task_due,
    listing.LISTS_WAKE: listing.wake,
    partials.PARTIAL_DUE: partials.due,
    CART_DUE: rescuing.due,
    promising.LAPSE: promising.lapse,
    promising.MISSED: promising.missed,
    keeping.REMIND: telling.remind,
    keeping.WAITS: covering.waits,
    keeping.TELL: telling.ended,
    elsewhere.QUOTE_LAPSE: elsewhere.lapse,
    housekeeping.CANARY: housekeeping.sing,
    housekeeping.FORGET_ALARMS: housekeeping.forget_alarms,
    housekeeping.FORGET_SESSIONS: housekeeping.forget_sessions,
    housekeeping.EMPTY_INBOX: housekeeping.empty_inbox,
    erasing.SWEEP: erasing.sweep,
}

PARTIES: Mapping[str, Party] = {
    "google_ads": GoogleAds(), "meta": Meta(), "shopify": Shopify(), "woocommerce": WooCommerce(),
    "email": InboundMail(),
}


class Refusal(Exception):
    """The command cannot do what was asked. The message says why, and what to do."""


def prepare_logs(level: str, file: Path | None = None) -> None:
    """Logs go to standard error, or to a file."""
    if file is None:
        logs.set_up(level)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    logs.set_up(level, os.fdopen(descriptor, "a", buffering=1))


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs the program on the quicker of the event loops."""
    return uvloop.run(main)


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def until_told_to_stop() -> None:
    """Waits for SIGTERM or SIGINT."""
    await told_to_stop().wait()


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The database's address: the given one, or the embedded server's, started and stopped here. Raises Refusal when
    the given one lets nobody in."""
    if settings.database_url is not None:
        if why := await unreachable(settings.database_url):
            raise Refusal(f"the database does not let us in: {why}. Is it running, and HABLEMOS_DATABASE_URL right?")
        yield settings.database_url
        return
    await asyncio.to_thread(settings.data_dir.mkdir, parents=True, exist_ok=True)
    async with EmbeddedPostgres(settings.data_dir) as running:
        yield running.url


def secret_of(settings: Settings) -> str:
    """The secret that opens the stored keys: the given one, or one made beside the embedded database, mode 0600."""
    if settings.secret is not None:
        return settings.secret
    if settings.database_url is not None:
        raise WrongSetting(
            "HABLEMOS_SECRET should be a random text of at least 32 characters: with a database of its own, the keys "
            "in it must not depend on a file of this machine"
        )
    path = settings.data_dir / "secret"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
    return path.read_text()


@asynccontextmanager
async def service(
    settings: Settings, database_url: str, server: Server, *, kind: str, softphone: str = "", plan: Plan | None = None,
    limits: Limits = STRICT,
) -> AsyncIterator[Book]:
    """The running service. Leaving it stops within seconds: no new claims, streams closed, running work finished.

    `kind` is "service" or "demo"; a database belongs to the kind that first used it. `plan` is applied at the start.
    `limits` bound the public doors. Raises Refusal, WrongFile.
    """
    failpoints.arm(settings.fail_at)
    await migrate(database_url)
    public_url = settings.public_url or server.url
    async with contextlib.AsyncExitStack() as stack:
        engine = make_engine(database_url, connections=CONNECTIONS)
        stack.push_async_callback(engine.dispose)
        reading = make_reading_engine(database_url)
        stack.push_async_callback(reading.dispose)
        book = Book(
            engine, Hub(), Vault(secret_of(settings)), public_url, reading=reading, can_mail=bool(settings.smtp_url)
        )
        await _claim_database(book, kind)
        async with book.writing() as w:
            await housekeeping.ensure_jobs(w)
        await _publish_shipped(book)
        if plan is not None:
            await _apply(book, plan, demo=kind == "demo")
        session = await stack.enter_async_context(client_session())
        signers = providers(session, await stack.enter_async_context(client_session(guarded=True)))
        carrier = TwilioCarrier(
            session, account=settings.carrier_account or "", tokens=settings.carrier_tokens, public_url=public_url,
            base_url=settings.carrier_url, total=LEG_SECONDS,
        )
        mail = mail_server(settings.smtp_url, public_url)
        if mail is not None:
            stack.push_async_callback(mail.close)
        trust = await asyncio.to_thread(trust_of, settings)
        await trust.start()
        stack.push_async_callback(trust.stop)
        root = await sealing.ensure_authority(book, trust, settings.company)
        await sealing.ensure_jobs(book, trust)
        # A lost ring costs nothing, nor does a lost count of the public doors.
        quick = make_engine(database_url, connections=3, limits=FOR_ROUNDS)
        stack.push_async_callback(quick.dispose)
        hasty = book.hasty(quick)
        doors = Doors(
            book=book, hub=book.hub, wording=wording(), carrier=carrier, trust=trust,
            intake=Batcher(book, admitting.admit, most=32, name="intake"), public_url=public_url,
            root_certificate=root, softphone=softphone,
            behind_proxy=settings.behind_proxy, demo=kind == "demo", parties=PARTIES, limits=limits, signers=signers,
            gatekeeper=Batcher(hasty, protecting.weigh),
            turn=Turn(settings.turn_url, settings.turn_secret) if settings.turn_url and settings.turn_secret else None,
        )
        rounds = Rounds(hasty)
        await stack.enter_async_context(_working(
            doors, server, database_url, rounds=rounds, pool=engine.pool, mail=mail,
            sources={"meta": Graph(session, settings.graph_url)}, registers={"http": HttpRegister(session)},
            keepers=partial(Depository.of, await stack.enter_async_context(client_session(total=DEPOSIT_SECONDS))),
        ))
        yield book


def alarms_of(trust: TrustProvider) -> Mapping[str, Handler | Late]:
    """All alarms, those that ask the trust provider among them."""

    async def keep_up(w: Writing, recurring_id: int) -> None:
        await certifying.keep_up(w, trust)

    archive = partial(archiving.order_due, outside=trust.outside_time)
    return {**ALARMS, certifying.KEEP_UP: keep_up, archiving.ARCHIVE: archive}


def trust_of(settings: Settings) -> EmbeddedTrust:
    """The trust provider with what is used in place of, or beside, the house's own authority. Raises WrongSetting."""
    time, own = None, None
    if settings.tsa_mode != "embedded":
        if not settings.tsa_urls or settings.tsa_roots is None:
            raise WrongSetting(
                "HABLEMOS_TSA_URLS and HABLEMOS_TSA_ROOTS should name timestamp authorities, and a PEM file with the "
                "roots their certificates lead to: what nobody can verify is no time"
            )
        time = OutsideTime(
            settings.tsa_urls, _pem("HABLEMOS_TSA_ROOTS", settings.tsa_roots), first=settings.tsa_mode == "external"
        )
    own = _own_seal(settings)
    roots = _pem("HABLEMOS_TSA_ROOTS", settings.tsa_roots) if settings.tsa_roots else b""
    try:
        return EmbeddedTrust(time=time, own=own, time_roots=roots)
    except Refused as refused:
        raise WrongSetting(f"HABLEMOS_SEAL_PKCS12: {refused}") from refused


def _own_seal(settings: Settings) -> OwnSeal | None:
    if settings.seal_pkcs12 is not None and settings.seal_pkcs11 is not None:
        raise WrongSetting("HABLEMOS_SEAL_PKCS12 and HABLEMOS_SEAL_PKCS11 are two seals; give one")
    if settings.seal_pkcs12 is not None:
        return FileSeal(_content("HABLEMOS_SEAL_PKCS12", settings.seal_pkcs12), settings.seal_passphrase)
    if settings.seal_pkcs11 is None:
        return None
    if settings.seal_chain is None:
        raise WrongSetting("HABLEMOS_SEAL_CHAIN should be a PEM file with the seal's certificate and its issuers'")
    key, chain = settings.seal_pkcs11, _pem("HABLEMOS_SEAL_CHAIN", settings.seal_chain)
    return TokenSeal(module=key.module, token=key.token, label=key.label, chain=chain, pin=key.pin)


def _pem(name: str, file: Path) -> bytes:
    content = _content(name, file)
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise WrongSetting(f"{name}: {file} holds no certificates in PEM form")
    return content


def _content(name: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WrongSetting(f"{name}: {file}: {error.strerror}") from error


def mail_server(url: str | None, public_url: str) -> SmtpMail | None:
    """The house's mail server, if it has one. We greet it by the name we are known by outside."""
    return SmtpMail(url, name=urlsplit(public_url).hostname or "") if url else None


@asynccontextmanager
async def _working(
    doors: Doors, server: Server, database_url: str, *, rounds: Rounds, pool: Any, mail: Mail | None,
    sources: Mapping[str, LeadSource], registers: Mapping[str, Register], keepers: Custodians,
) -> AsyncIterator[None]:
    """Loops and doors, and the order in which they end."""
    book, hub = doors.book, doors.hub
    lateness, rings = Recent(), Recent()
    envoy = Envoy(doors.signers, doors.trust, keepers)
    courier = Courier(book, doors.carrier, doors.trust, hub.replica, lateness=lateness, mail=mail, envoy=envoy)
    unknowns = Unknowns(book, doors.carrier, envoy=envoy)
    alarms, canary = Alarms(book, alarms_of(doors.trust), lateness=lateness), Canary(book)
    inquirer = Inquirer(book, registers)
    inbox, fetcher = Inbox(book, doors.carrier, parties=doors.parties, sources=sources), Fetcher(book, sources)
    importer = Importer(book)
    reconciler, beats, tail = Reconciler(book, doors.carrier), streams.Beats(), Tail(book)
    ticks = Ticks(
        hub,
        [
            Sweep("dispatch", rounds.sweep, audiences=("dispatch",)),
            Sweep("courier", courier.launch, audiences=("courier",)),
            Sweep("leases", courier.release, every=2.0),
            Sweep("inbox", inbox.sweep, audiences=("inbox",)),
            Sweep("fetches", fetcher.sweep, time_out=60.0, audiences=("fetches",)),
            Sweep("inquiries", inquirer.sweep, time_out=60.0, audiences=("inquiries",)),
            Sweep("alarms", alarms.sweep, every=0.5, audiences=("alarms",)),
            Sweep("beats", lambda: beats.flush(book)),
            # A house that has just started has heard nobody yet: what it missed is no agent's silence.
            Sweep("absent", rounds.take_back, every=2.0, rests=HEARTBEAT_LEASE.total_seconds()),
            Sweep("stations", lambda: _close_unwanted(book), every=2.0, rests=HEARTBEAT_LEASE.total_seconds()),
            Sweep("aging", rounds.age),
            Sweep("forecast", rounds.foresee, every=FORESEE_EVERY.total_seconds()),
            Sweep("clock", rounds.set_right),
            Sweep("reminders", rounds.remind),
            Sweep("unknowns", unknowns.sweep, every=2.0),
            Sweep("calls", reconciler.sweep, every=3.0),
            Sweep("imports", importer.sweep, audiences=("imports",)),
            Sweep("lists", importer.rest, every=5.0),
            Sweep("cells", importer.forget, every=600.0),
            Sweep("registers", lambda: registering.forget(book), every=60.0, audiences=("registers",)),
            Sweep("zones", lambda: _resolve_again(book), every=600.0),
            Sweep("recurring", lambda: _roll(book), every=2.0),
            Sweep("canary", canary.look, every=15.0),
            Sweep("ledger", lambda: entering.sweep(book, doors.trust), every=2.0, time_out=60.0),
            Sweep("prefixes", lambda: _watch_prefixes(book), every=60.0),
        ],
    )
    application = make_app(doors)
    application[streams.BEATS] = beats
    application[health.FIGURES] = health.Figures(ticks=ticks, lateness=lateness, rings=rings, pool=pool, canary=canary)
    async with book.reading() as r:
        ring_times = RingTimes(rings, r.now)
    await tail.watch(ring_times, kinds=RingTimes.KINDS)
    tail.follow(merging.READER, merging.follow, calm=True, kinds=merging.READS)
    hub.on("facts", tail.poke_soon)
    async with _background(
        *_writers(doors), book.hinter.run(), Listener(database_url, hub).run(), tail.run()
    ) as stop_background:
        await ticks.start()
        await server.start(application)
        # What stands at the start stays: collecting it anew each time would stop the loop for a tenth of a second.
        gc.collect()
        gc.freeze()
        try:
            yield
        finally:
            await server.stop_listening()
            hub.close()
            await server.stop()
            await ticks.stop()
            await courier.stop()
            await stop_background()


def _writers(doors: Doors) -> list[Coroutine[Any, Any, None]]:
    return [doors.intake.run(), *([doors.gatekeeper.run()] if doors.gatekeeper else [])]


@asynccontextmanager
async def _background(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Runs the loops until told to stop. One that ends by itself takes the service down with it: better than half."""
    tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    owner = asyncio.current_task()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None and owner is not None:
            log.critical("a loop ended", exc_info=task.exception())
            owner.cancel()

    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield stop
    finally:
        await stop()


async def _close_unwanted(book: Book) -> None:
    async with book.writing() as w:
        await stationing.close_unwanted(w)


async def _roll(book: Book) -> None:
    async with book.writing() as w:
        await recurring.roll(w)


async def _resolve_again(book: Book) -> None:
    """Promised times on the wall, when the rules of time zones have changed: at the start, if ever, they have."""
    more = True
    while more:
        async with book.writing() as w:
            more = await promising.resolve_again(w) > 0


async def _watch_prefixes(book: Book) -> None:
    async with book.writing() as w:
        await protecting.watch_prefixes(w)


async def _claim_database(book: Book, kind: str) -> None:
    async with book.writing() as w:
        owner = await configuration.deployment_kind(w.session, kind, w.now)
    if owner != kind:
        raise Refusal(f"this database belongs to a {owner}; a {kind} needs one of its own (see --data-dir)")


async def _publish_shipped(book: Book) -> None:
    async with book.writing() as w:
        newer = await publishing.publish_shipped(w)
    async with book.reading() as r:
        await packs.in_force(r.session)  # read now, or the first call's transaction would wait for it
    if newer:
        log.warning("newer packs came with the program: look at them, and apply them", extra={"packs": newer})


async def _apply(book: Book, plan: Plan, *, demo: bool = False) -> list[configuring.Change]:
    hashes = await _hashes(plan)
    async with book.writing() as w:
        return await configuring.apply(w, plan, hashes, demo=demo)


async def _hashes(plan: Plan) -> dict[str, str]:
    given = {agent.login: agent.password_hash for agent in plan.agents if agent.password_hash}
    return given | {agent.login: await hashed(agent.password) for agent in plan.agents if agent.password}


async def serve(settings: Settings, *, limits: Limits = STRICT) -> int:
    """`hablemos serve`: runs until SIGTERM. `limits` bound the public doors."""
    if settings.carrier_account is None or not settings.carrier_tokens:
        raise WrongSetting(
            "HABLEMOS_CARRIER_ACCOUNT and HABLEMOS_CARRIER_TOKENS should name the carrier's account and its auth token "
            "(to try without one: hablemos demo)"
        )
    logs.set_up(settings.log_level)
    server = Server(settings.host, settings.port)
    async with database(settings) as url, service(
        settings, url, server, kind="service", limits=limits
    ) as book:
        stop = told_to_stop()
        print(f"hablemos serves {server.url}", flush=True)
        if link := await _setup_link(book):
            print(f"Nobody works here yet. The first administrator signs up once at {link}", flush=True)
        await stop.wait()
    return 0


async def _setup_link(book: Book) -> str | None:
    async with book.writing() as w:
        if await configuration.count_agents(w.session):
            return None
        return f"{w.public_url}/setup/{await sessions.make_setup_link(w.session, w.now)}"


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Book]:
    async with database(settings) as url:
        await migrate(url)
        engine = make_engine(url, connections=2)
        try:
            yield Book(engine, Hub(), Vault(secret_of(settings)), settings.public_url or "")
        finally:
            await engine.dispose()


class _OnlyLooking(Exception):
    """Rolls the transaction back."""


async def _apply_pack(settings: Settings, text: str, agree: Callable[[Sequence[object]], bool]) -> int:
    async with _opened(settings) as book:
        try:
            async with book.reading() as r:
                proposal = await publishing.propose(r.session, text, r.now)
            if not proposal.differences:
                print("Nothing to change.")
                return 0
            if not await asyncio.to_thread(agree, proposal.lines()):
                print("Nothing was changed.")
                return 1
            async with book.writing() as w:
                await publishing.publish(w, text)
        except (WrongPack, Conflict) as error:
            raise Refusal(str(error)) from error
    print(f"Published {proposal.key}, version {proposal.version}.")
    return 0


async def take_register(settings: Settings, file: Path, register: str, as_of: datetime, country: str) -> int:
    """`hablemos register FILE`: takes a do-not-call register's file in; the one before counts until all of it is there.
    Raises Refusal."""
    async def parts() -> AsyncIterator[bytes]:
        with await asyncio.to_thread(file.open, "rb") as opened:
            while part := await asyncio.to_thread(opened.read, 1 << 18):
                yield part

    async with _opened(settings) as book:
        try:
            took = await registering.take(book, register, as_of, parts(), country=country)
        except OSError as error:
            raise Refusal(f"{file}: {error.strerror}") from error
        except HouseError as error:
            raise Refusal(str(error)) from error
    print(f"Register {register} of {as_of:%Y-%m-%d}: {took.numbers} numbers, {took.unread} lines that are none.")
    return 0


async def parked_alarms(settings: Settings, wake: Sequence[str]) -> int:
    """`hablemos alarms`: what failed five times, or, woken by number or "all", is tried again by whoever serves. Raises
    Refusal."""
    async with _opened(settings) as book:
        async with book.reading() as r:
            parked = await due_moments.parked(r.session, most=1_000)
        if not wake:
            for one in parked:
                print(f"{one.id}  {one.kind} {one.subject_id}  due {one.due_at:%Y-%m-%d %H:%M} UTC")
            print(f"{len(parked)} parked alarms." if parked else "No parked alarms.")
            return 0
        for number in [one.id for one in parked] if "all" in wake else [int(one) for one in wake]:
            try:
                async with book.writing() as w:
                    again = await supervising.wake_alarm(w, number)
            except HouseError as error:
                raise Refusal(f"{number}: {error}") from error
            print(f"{number}: {'is tried again' if again else 'was set anew meanwhile, and is dropped'}")
    return 0


async def _moves(
    book: Book, can_mail: bool, apply: Callable[[Writing], Awaitable[list[configuring.Change]]]
) -> tuple[list[configuring.Change], list[str]]:
    """What a change changes, and what it would move of what is planned. Nothing of it stays."""
    changes: list[configuring.Change] = []
    before: Ahead | None = None
    after: Ahead | None = None
    with contextlib.suppress(_OnlyLooking):
        async with book.writing() as w:
            before = await planned.of_all(w.session, w.now, can_mail=can_mail)
            changes = await apply(w)
            if any(change.thing.startswith(planned.MOVERS) for change in changes):
                await w.session.flush()
                after = await planned.of_all(w.session, w.now, can_mail=can_mail)
            raise _OnlyLooking
    if before is None or after is None or not before.quotes:
        return changes, []
    return changes, await asyncio.to_thread(planned.would_move, before, after)


async def apply_text(settings: Settings, text: str, agree: Callable[[Sequence[object]], bool]) -> int:
    """`hablemos apply FILE.toml`, a configuration or a pack: `agree` is shown the difference and what it would move,
    and asked. Raises WrongFile, Refusal."""
    if publishing.is_pack(text):
        return await _apply_pack(settings, text, agree)
    plan = read(text)
    async with _opened(settings) as book:
        hashes = await _hashes(plan)
        changes, moves = await _moves(book, settings.smtp_url is not None, lambda w: configuring.apply(w, plan, hashes))
        if not changes:
            print("Nothing to change.")
            return 0
        if not await asyncio.to_thread(agree, [*changes, *moves]):
            print("Nothing was changed.")
            return 1
        async with book.writing() as w:
            await configuring.apply(w, plan, hashes)
    print(f"Applied {len(changes)} changes.")
    return 0


async def doctor(settings: Settings) -> int:
    """`hablemos doctor`: what is set, what answers; 0 when nothing is wrong."""
    faults = 0

    def say(well: bool, what: str) -> None:
        nonlocal faults
        faults += not well
        print(f"{'ok ' if well else 'BAD'}  {what}")

    async with _opened(settings) as book:
        async with book.reading() as r:
            drift = abs((datetime.now(UTC) - r.now).total_seconds())
            silent = await configuration.without_mail(r.session)
            row, lists = await authority.find(r.session), await authority.crls(r.session)
            ending = [] if row is None else certifying.ending(row, lists, r.now)
            wrong = await entering.faults(r.session)
            accounts = [(key, one, entrusting.opened(book.vault, one))
                        for key, one in await signing_accounts.every(r.session)]
            services = [(key, one, choosing_services.opened(book.vault, one))
                        for key, one in await trust_accounts.every(r.session)]
            registers = [(one, inquiring.opened(book.vault, one)) for one in await inquiries.services(r.session)]
        say(True, "database answers, schema up to date")
        say(drift < 2.0, f"clocks differ by {drift:.1f} s")
        say(not wrong, "; ".join(wrong) or "the ledger of all signings is unbroken, and they are all there")
        if row is not None:
            say(not ending, "; ".join(ending) or "the seal's certificates and lists are good for months to come")
    if settings.carrier_account and settings.carrier_tokens:
        say(True, "the carrier's account and token are set")
    else:
        say(False, "nobody can be called: set HABLEMOS_CARRIER_ACCOUNT and HABLEMOS_CARRIER_TOKENS")
    if settings.public_url:
        say(True, f"the carrier and customers reach us at {settings.public_url}")
    else:
        say(False, "the carrier and customers cannot reach us: set HABLEMOS_PUBLIC_URL")
    if settings.smtp_url is None:
        print("ok   no e-mail here: HABLEMOS_SMTP_URL is not set; nothing can be sent by e-mail")
    else:
        say(*await _mail_answers(settings))
        for key in silent:
            print(f"ok   no e-mail from campaign {key}: it has no mail_from")
    async for well, what in signers_answer(accounts):
        say(well, what)
    async for well, what in services_answer(services):
        say(well, what)
    async for well, what in registers_answer(registers):
        say(well, what)
    return 1 if faults else 0


async def signers_answer(
    accounts: Sequence[tuple[str, SigningAccount, SignerAccount]]
) -> AsyncIterator[tuple[bool, str]]:
    """Whether each third party that takes signatures answers, and by whose word its adapter was made."""
    async with client_session() as session, client_session(guarded=True) as guarded:
        signers = providers(session, guarded)
        for key, row, account in accounts:
            signer, name = signers[row.provider.value], f"campaign {key}: {row.provider.spoken}"
            wrong = signer.wrong(account)
            try:
                if not wrong:
                    await signer.check(account)
            except OutsideError as error:
                wrong = f"does not let us in: {error}"
            yield not wrong, f"{name} {wrong or 'answers and lets us in'}"
            chosen = "takes its signatures" if row.chosen else "takes no new offers"
            yield True, f"{name} {chosen}; the adapter was made by {signer.capabilities.judged_by}"


async def services_answer(
    accounts: Sequence[tuple[str, TrustAccount, TimeAccount | CustodyAccount]]
) -> AsyncIterator[tuple[bool, str]]:
    """Whether each authority gives the time, and each keeper lets us in; and by whose word its adapter was made."""
    async with client_session() as session:
        for key, row, account in accounts:
            wrong, name = "", f"campaign {key}: {row.service.value} at {row.url}"
            party: TimeAuthority | Depository
            try:
                if isinstance(account, TimeAccount):
                    party = TimeAuthority(session, account.url, account.user, account.password)
                    await party.timestamp(os.urandom(32))
                else:
                    party = Depository.of(session, account)
                    await party.check()
            except OutsideError as error:
                wrong = f"does not let us in: {error}"
            yield not wrong, f"{name} {wrong or 'answers and lets us in'}"
            chosen = "is chosen" if row.chosen else "is chosen no more"
            yield True, f"{name} {chosen}; the adapter was made by {party.judged_by}"


async def registers_answer(
    doors: Sequence[tuple[RegisterService, RegisterDoor]]
) -> AsyncIterator[tuple[bool, str]]:
    """Whether each do-not-call register that is asked number by number answers and lets us in. A closed one is not
    asked."""
    async with client_session() as session:
        adapters = {"http": HttpRegister(session)}
        for service, door in doors:
            name = f"register {service.register}"
            if service.closed:
                yield True, f"{name} is closed: it is asked nothing"
                continue
            wrong = await trouble_at(adapters.get(service.adapter), door)
            yield not wrong, f"{name} {wrong or 'answers and lets us in'}"


async def _mail_answers(settings: Settings) -> tuple[bool, str]:
    mail = mail_server(settings.smtp_url, settings.public_url or "")
    try:
        if mail is not None:
            await mail.check()
    except OutsideError as error:
        return False, f"HABLEMOS_SMTP_URL: {error}; is the address right, and name and password?"
    return True, "mail server answers and lets us in"


async def replay(settings: Settings, options: argparse.Namespace) -> int:
    """`hablemos replay`: what is on record is read by connections that cannot write. Raises WrongInput, WrongFile,
    Refusal."""
    wanted = replaying.wanted(options)
    async with _looking(settings) as (session, now):
        seen = await replaying.read(wanted, session, now)
    return replaying.tell(wanted, seen)


async def plan(settings: Settings, options: argparse.Namespace) -> int:
    """`hablemos plan`: what is ahead is read by connections that cannot write. Raises WrongInput, Refusal."""
    wanted = planned.wanted(options)
    async with _looking(settings) as (session, now):
        ahead = await planned.read(wanted, session, now, can_mail=settings.smtp_url is not None)
    return planned.tell(wanted, ahead)


@asynccontextmanager
async def _looking(settings: Settings) -> AsyncIterator[tuple[ReadSession, datetime]]:
    """The database by a connection that cannot write, and its time. Raises Refusal."""
    async with database(settings) as url:
        engine = make_reading_engine(url, connections=1, statement_seconds=600)
        try:
            async with engine.connect() as connection:
                session = ReadSession(connection)
                try:
                    yield session, await DatabaseClock().now(connection)
                finally:
                    await session.close()
        except Exception as error:
            if lost_connection(error):
                raise Refusal("the database does not answer") from error
            if lacks_schema(error):
                raise Refusal("this database has no schema yet, or an older one: hablemos migrate makes it") from error
            raise
        finally:
            await engine.dispose()


async def show_authority(settings: Settings) -> int:
    """`hablemos authority show`. 0 when nothing of it ends soon. Raises Refusal before the authority is made."""
    async with _opened(settings) as book, book.reading() as r:
        row, lists = await authority.find(r.session), await authority.crls(r.session)
        if row is None:
            raise Refusal(certifying.NO_AUTHORITY)
        ending = certifying.ending(row, lists, r.now)
    left = row.root_left_at
    print(f"root's key    taken offline on {left:%Y-%m-%d}" if left else "root's key    here, encrypted")
    for name, until in (("seal", row.seal_until), ("issuing", row.issuing_until)):
        print(f"{name:<13} until {until:%Y-%m-%d}" if until else f"{name:<13} known after the next start")
    for one in lists:
        print(f"{one.issuer + '.crl':<13} number {one.number}, until {one.next_update:%Y-%m-%d}")
    print("\n".join(ending) or "Nothing ends soon.")
    return 1 if ending else 0


async def export_root(settings: Settings, file: Path, passphrase: str, *, keep: bool) -> int:
    """`hablemos authority export-root FILE`: the root's key, encrypted under the passphrase, into a new file of mode
    0600; then it leaves the database, unless it is to be kept there. Raises Refusal."""
    async with _opened(settings) as book:
        try:
            async with book.writing() as w:
                key = await certifying.root_key(w)
                row = await authority.find(w.session)
            certificate = row.root_certificate if row else b""
            await asyncio.to_thread(_write_new, file, locked_key(key, passphrase) + certificate)
            # Read again before the only other copy goes: what cannot be opened there is lost here too.
            opened_key(await asyncio.to_thread(file.read_bytes), passphrase, certificate)
            if keep:
                print(f"{file} holds the root's key. It is still in the database, too.")
                return 0
            async with book.writing() as w:
                until = await certifying.forget_root_key(w, EmbeddedTrust())
        except (HouseError, Refused, OSError) as error:
            raise Refusal(str(error)) from error
    print(f"{file} holds the root's key; the database no longer does. Keep file and passphrase apart, both offline.")
    print(f"The root's list is good until {until:%Y-%m-%d}: hablemos authority use-root FILE issues the next one.")
    return 0


def _write_new(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


async def use_root(settings: Settings, locked: bytes, passphrase: str) -> int:
    """`hablemos authority use-root FILE`: renews with the exported key what only the root can renew. Raises Refusal."""
    async with _opened(settings) as book:
        try:
            async with book.writing() as w:
                row = await authority.find(w.session)
                key = opened_key(locked, passphrase, row.root_certificate if row else b"")
                until = await certifying.use_root_key(w, EmbeddedTrust(), key)
        except (HouseError, Refused) as error:
            raise Refusal(str(error)) from error
    print(f"Done. The root's list is good until {until:%Y-%m-%d}; its key was not kept.")
    return 0


async def revoke_seal(settings: Settings, reason: str) -> int:
    """`hablemos authority revoke-seal`: from now on another certificate seals. Raises Refusal."""
    async with _opened(settings) as book:
        try:
            async with book.writing() as w:
                await certifying.revoke_seal(w, EmbeddedTrust(), reason)
        except (HouseError, Refused) as error:
            raise Refusal(str(error)) from error
    print("The seal's certificate is revoked, and a new one seals. What was sealed before stays good.")
    return 0


async def phonebox_alone(account: str, token: str, port: int, log: Path | None, smtp_port: int = 0) -> int:
    """`hablemos phonebox`: the local carrier and a mail server that delivers nothing, on loopback, until Ctrl-C."""
    phonebox = Phonebox(account=account, token=token, templates=TEMPLATES, log=log)
    await phonebox.start("127.0.0.1", port, smtp_port)
    try:
        print(f"phonebox at {phonebox.url}, mails to {phonebox.smtp_url}", flush=True)
        await until_told_to_stop()
    finally:
        await phonebox.stop()
    return 0
