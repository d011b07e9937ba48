"""The demonstration: everything on one machine, with a phone to play the customer."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from integrations.phonebox import Phonebox
from router import app, demo_brochures, demo_quotes
from router.embedded import EmbeddedPostgres
from router.model.configuration import read
from router.model.rates import LENIENT
from router.paths import TEMPLATES
from router.settings import Settings
from router.web.landing import make_landing
from router.web.server import Server
from router.wording import wording

ACCOUNT = "AC" + "0" * 31 + "1"
TOKEN = "the-demonstration-has-no-secrets"  # noqa: S105  loopback only
PASSWORD = "hablemos-demo"  # noqa: S105  loopback only
SITE = "luz-clara"
"""The campaign's key, too."""
QUEUE = "ventas"
NUMBER = "+12025550100"
"""The campaign's own, as the plan has it."""
PORT = 8080

PLAN = """
[[campaigns]]
key = "luz-clara"
name = "Luz Clara"
caller_id = "+12025550100"
sender = "+12025550100"
rule_pack = "demo"
countries = ["US"]
whatsapp = "+12025550100"
mail_from = "hola@luzclara.example"
locale = "es"
stale_seconds = 10
quote_days = 14
daily_spend_cap = 90000
discount_bp = 1000
consent_version = "2026-11"
consent_text = ""

  [campaigns.company]
  name = "Luz Clara Demo SL"
  address = "Calle Mayor 1, 28013 Madrid"
  phone = "+12025550100"
  email = "hola@luzclara.example"
  tax_id = "B00000000"
  privacy_url = "https://luzclara.example/privacidad"

  [campaigns.terms]
  months = 0
  starts_in_days = 14
  return_cost = "nothing"
  [campaigns.terms.payment]
  en = "By direct debit in the first days of each month. Installation within 14 days of signing."
  es = "Domiciliación bancaria en los primeros días de cada mes. Instalación en los 14 días siguientes a la firma."
  it = "Addebito in conto nei primi giorni di ogni mese. Installazione entro 14 giorni dalla firma."
  ru = "Списание со счёта в первых числах месяца. Установка в течение 14 дней после подписания."
  [campaigns.terms.leaving]
  en = "For each month that is missing, half of its price."
  es = "Por cada mes que falte, la mitad de su precio."
  it = "Per ogni mese mancante, metà del suo prezzo."
  ru = "За каждый недостающий месяц — половина его цены."
  [campaigns.terms.renewal]
  en = "It goes on from month to month; you may end it at the end of any month."
  es = "Continúa mes a mes; puede terminarlo al final de cualquier mes."
  it = "Continua di mese in mese; può terminarlo alla fine di qualsiasi mese."
  ru = "Договор продолжается помесячно; его можно прекратить в конце любого месяца."
  [campaigns.terms.guarantee]
  en = "Three years of legal guarantee on the equipment."
  es = "Tres años de garantía legal de los equipos."
  it = "Tre anni di garanzia legale sugli apparecchi."
  ru = "Три года законной гарантии на оборудование."
  [campaigns.terms.complaints]
  en = "By telephone or e-mail, or at the consumer arbitration board of Madrid."
  es = "Por teléfono o correo electrónico, o ante la junta arbitral de consumo de Madrid."
  it = "Per telefono o e-mail, oppure presso la giunta arbitrale dei consumatori di Madrid."
  ru = "По телефону или электронной почте либо в потребительский арбитраж Мадрида."

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
  skills = ["es"]
  ring_seconds = 20
  connect_seconds = 60
  wrap_seconds = 60

  [[campaigns.sites]]
  key = "luz-clara"
  name = "Tarifa Plana Solar"
  queue = "ventas"
  actions = ["call", "later", "chat", "whatsapp", "video", "tel"]
  origins = ["http://127.0.0.1:1"]

  [[campaigns.products]]
  key = "solar"
  label = "Tarifa Plana Solar 24 h"
  suggests = ["alta", "cargador"]
  unit_minor = 4990
  period = "month"

  [[campaigns.products]]
  key = "alta"
  label = "Alta e instalación"
  unit_minor = 9900
  period = "once"

  [[campaigns.products]]
  key = "cargador"
  label = "Cargador de coche"
  unit_minor = 45000
  period = "once"

  [[campaigns.cadences]]
  key = "demo"
  name = "Demostración: en minutos"
  on = ["opened_unsigned", "never_opened", "sign_abandoned", "hot_reopen"]

    [[campaigns.cadences.steps]]
    n = 1
    channel = "call_task"

    [[campaigns.cadences.steps]]
    n = 2
    channel = "sms"
    template = "offer_again"
    delay = 1
    unit = "bmin"

    [[campaigns.cadences.steps]]
    n = 3
    channel = "call_task"
    delay = 2
    unit = "bmin"

    [campaigns.cadences.outcomes.no_answer]
    then = "next"
    delays = [[1, "bmin"]]

  [[campaigns.cadences]]
  key = "silencio"
  name = "Sin respuesta: en días"
  on = ["idle", "expiring"]

    [[campaigns.cadences.steps]]
    n = 1
    channel = "email"
    template = "offer_questions"
    otherwise = ["sms"]
    delay = 3
    unit = "bh"
    window = ["09:00", "20:00"]

    [[campaigns.cadences.steps]]
    n = 2
    channel = "call_task"
    delay = 20
    unit = "bh"
    window = ["10:00", "20:00"]

    [[campaigns.cadences.steps]]
    n = 3
    channel = "call_task"
    delay = 2
    unit = "bd"
    band = "other"
    window = ["10:00", "20:00"]

    [[campaigns.cadences.steps]]
    n = 4
    channel = "email"
    template = "offer_ends"
    otherwise = ["sms"]
    anchor = "valid_until"
    delay = 38
    unit = "bh"
    window = ["09:00", "20:00"]

    [[campaigns.cadences.steps]]
    n = 5
    channel = "call_task"
    anchor = "valid_until"
    delay = 14
    unit = "bh"
    tier = 5
    band = "best"
    window = ["10:00", "20:00"]

    [[campaigns.cadences.steps]]
    n = 6
    channel = "sms"
    template = "goodbye"
    delay = 4
    unit = "bh"
    window = ["09:00", "20:00"]

  [[campaigns.cadences]]
  key = "caducado"
  name = "Caducado"
  on = ["expired_winback"]

    [[campaigns.cadences.steps]]
    n = 1
    channel = "call_task"
    delay = 2
    unit = "bd"
    band = "best"
    tier = 7
    window = ["10:00", "20:00"]

[[agents]]
login = "ana"
name = "Ana"
skills = ["es", "en"]
password = "hablemos-demo"

[[agents]]
login = "bruno"
name = "Bruno"
skills = ["es"]
password = "hablemos-demo"

[[agents]]
login = "sofia"
name = "Sofía"
role = "supervisor"
skills = ["es"]
password = "hablemos-demo"

[[agents]]
login = "admin"
name = "Admin"
role = "admin"
password = "hablemos-demo"
"""  # noqa: RUF001


@dataclass(frozen=True)
class Running:
    """The addresses of a running demonstration, without a slash at their ends."""

    service: str
    phonebox: str
    landing: str


@asynccontextmanager
async def demonstration(data_dir: Path, port: int | None, *, plan: str = PLAN) -> AsyncIterator[Running]:
    """Service, phonebox and landing page on three loopback ports; the database in `data_dir`. Port 0 takes free ones;
    without one, 8080 and the next two if they are free."""
    service, landing, phonebox_port = _ports(port)
    flags = {
        "data_dir": data_dir, "public_url": service.url, "company": "Luz Clara Demo SL", "carrier_account": ACCOUNT,
        "carrier_tokens": TOKEN,
    }
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
    async with EmbeddedPostgres(data_dir) as database, contextlib.AsyncExitStack() as stack:
        # The database comes first: run as root, it opens only an empty directory to its own user.
        app.prepare_logs("INFO", data_dir / "service.log")
        phonebox = Phonebox(
            account=ACCOUNT, token=TOKEN, templates=TEMPLATES, log=data_dir / "phonebox.jsonl",
            inbound_url=f"{service.url}/hooks/carrier/inbound", voice_url=f"{service.url}/hooks/carrier/voice",
            voice_status_url=f"{service.url}/hooks/carrier/caller",
        )
        await phonebox.start("127.0.0.1", phonebox_port)
        stack.push_async_callback(phonebox.stop)
        settings = Settings.from_env(None, **flags, carrier_url=phonebox.url, smtp_url=phonebox.smtp_url)
        plan = plan.replace("http://127.0.0.1:1", landing.url)
        book = await stack.enter_async_context(
            app.service(
                settings, database.url, service, kind="demo", softphone=phonebox.url, plan=read(plan),
                limits=LENIENT,
            )
        )
        await demo_quotes.bring(book, SITE, QUEUE)
        await demo_brochures.bring(book, SITE)
        await landing.start(make_landing(service.url, SITE, wording(), phone=NUMBER, whatsapp=NUMBER))
        stack.push_async_callback(landing.stop)
        yield Running(service.url, phonebox.url, landing.url)


def _ports(port: int | None) -> tuple[Server, Server, int]:
    if port == 0:
        return Server("127.0.0.1", 0), Server("127.0.0.1", 0), 0
    first = PORT if port is None else port
    try:
        return Server("127.0.0.1", first), Server("127.0.0.1", first + 1), first + 2
    except OSError as error:
        if port is not None:
            raise app.Refusal(f"port {first} or {first + 1} is taken; try --port 0") from error
        return Server("127.0.0.1", 0), Server("127.0.0.1", 0), 0


def _addresses(running: Running) -> str:
    customer = "+12025550142"
    return f"""
hablemos demo — everything runs on this machine; nobody is really called.

  Landing page   {running.landing}/            press "Llámeme ahora" and give the number {customer}
  Customer       {running.phonebox}/phones/{customer}   the telephone of that customer: calls and texts
  Mails          {running.phonebox}/mails           every e-mail that was sent; none leaves this machine
  Desk           {running.service}/desk            sign in as ana, password {PASSWORD}  (also bruno)
  Wallboard      {running.service}/wallboard       sign in as sofia, password {PASSWORD}
  Verify         {running.service}/verify

  1. Sign in at the desk and say you are ready.   2. Ask for a call on the landing page.
  3. Accept at the desk, answer on the customer's telephone, send a document to read, and then a quote.
  4. Open the link in the text message, sign, and verify the PDF.

  The campaign is always open and calls only numbers reserved for fiction (555-0100 to 555-0199 of ten area codes).
  A quote rests 10 seconds after the talk before it counts as quiet; who does not answer is written to and called again
  over days, as two dozen older quotes are already: {running.service}/plan (as sofia) shows the fortnight.
  Stop with Ctrl-C; run again and all is still here.
"""


async def run_demo(data_dir: Path, port: int | None, *, walk: bool, as_json: bool) -> int:
    """Runs until Ctrl-C, or walks the story and leaves: 0 only if every step held."""
    async with demonstration(data_dir, port) as running:
        if walk:
            return await _walk(running, data_dir, as_json)
        print(_addresses(running), flush=True)
        await app.until_told_to_stop()
    return 0


async def _walk(running: Running, data_dir: Path, as_json: bool) -> int:
    from router import walk

    addresses = walk.Addresses(
        service=running.service, phonebox=running.phonebox, landing=running.landing, site=SITE, password=PASSWORD,
        agents=("ana", "bruno"), supervisor="sofia",
    )
    report = await walk.play(addresses, data_dir / "walks", progress=sys.stderr)
    if as_json:
        print(json.dumps(report.as_json()))
    return 0 if report.ok else 1
