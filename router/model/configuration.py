"""Configuration as data: what `hablemos apply FILE.toml` may say."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.model.agents import Role
from router.model.cadence_rules import CadencePlan
from router.model.campaigns import WrapMode
from router.model.forms import KINDS
from router.model.packs import BY_COUNTRY
from router.model.registers import NAME
from router.model.rules import RulesPlan, Skill, Skills
from router.model.terms import Terms

Key = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z0-9][a-z0-9_-]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[str, Meta(min_length=1, max_length=200)]
PackKey = Annotated[str, Meta(max_length=64, pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]
E164 = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
LOCALE = "^(en|es|it|ru)$"
Secret = Annotated[str, Meta(min_length=8, max_length=500)]
Span0 = Annotated[int, Meta(ge=0, le=86_400)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]


class ProductPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A line an agent may pick: price without tax in minor units, tax in basis points, period "once" or "month". `key`
    is what rules name it by: to who takes it those in `suggests` are suggested besides, those in `instead` in its
    place."""

    label: Words
    unit_minor: Annotated[int, Meta(ge=0, le=10**10)]
    tax_bp: Annotated[int, Meta(ge=0, le=10_000)] = 2100
    period: Annotated[str, Meta(pattern="^(once|month)$")] = "once"
    key: Annotated[str, Meta(pattern="^([a-z0-9][a-z0-9_-]{0,63})?$")] = ""
    suggests: Annotated[list[Key], Meta(max_length=10)] = []
    instead: Annotated[list[Key], Meta(max_length=10)] = []


class CompanyPlan(msgspec.Struct, forbid_unknown_fields=True):
    """Who the customer contracts with, as it stands on every page and document."""

    name: Words
    address: Words
    phone: E164
    email: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=200)]
    tax_id: Annotated[str, Meta(max_length=40)] = ""
    privacy_url: Annotated[str, Meta(pattern=r"^(https?://[^\s]+)?$", max_length=300)] = ""


class HolidaysPlan(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Whose public holidays are kept: a country and a subdivision of it, as the package `holidays` names them."""

    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""
    subdivision: Annotated[str, Meta(max_length=20)] = ""


Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")]
Span = tuple[Clock, Clock]
Spans = Annotated[list[Span], Meta(max_length=6)]


class HoursPlan(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """Weekly hours: for each day spans such as ["09:00", "14:00"]. No day at all means always."""

    mon: Spans = []
    tue: Spans = []
    wed: Spans = []
    thu: Spans = []
    fri: Spans = []
    sat: Spans = []
    sun: Spans = []


Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Texts = Annotated[dict[Annotated[str, Meta(pattern=LOCALE)], Annotated[str, Meta(min_length=1, max_length=2000)]],
                  Meta(min_length=1)]


class FieldPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A question of the campaign's own. Secret answers are sealed; `choices` maps values to their words. The answer
    stands in the person's offers, a secret one masked, unless `in_offer` is false."""

    key: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,39}$")]
    labels: Texts
    kind: Annotated[str, Meta(pattern=f"^({'|'.join(KINDS)})$")] = "text"
    required: bool = False
    secret: bool = False
    in_offer: bool = True
    choices: dict[Annotated[str, Meta(min_length=1, max_length=60)], Texts] = {}


class ConsentPlan(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be agreed to for one purpose. A changed text needs a new `version`."""

    purpose: Annotated[str, Meta(pattern="^(requested|commercial|recording|measurement)$")]
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    texts: Texts
    required: bool = False


class NumberPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A number of ours: calls and messages to it belong to this queue. `source` names where it is printed."""

    phone: E164
    queue: Key
    source: Annotated[str, Meta(max_length=100)] = ""


class QueuePlan(msgspec.Struct, forbid_unknown_fields=True):
    """A line. Times in seconds. `skills` are names, or names with the least level; `overflow` is the key of the queue
    of the same campaign that takes over who has waited `overflow_seconds`."""

    key: Key
    name: Words
    skills: Skills = []
    pool: Annotated[int, Meta(ge=1)] = 1
    ring_seconds: Seconds = 20
    connect_seconds: Seconds = 60
    wrap_seconds: Seconds = 60
    exclude_seconds: Seconds = 60
    target_seconds: Seconds = 20
    hours: HoursPlan = HoursPlan()
    holidays: HolidaysPlan = HolidaysPlan()
    closures: list[Day] = []
    handle_seconds: Seconds = 600
    slot_minutes: Annotated[int, Meta(ge=5, le=240)] = 15
    rules: RulesPlan = RulesPlan()
    wrap_mode: WrapMode = WrapMode.timed
    wrap_most_seconds: Seconds = 600
    overflow: Key | None = None
    overflow_seconds: Span0 = 0
    expire_seconds: Span0 = 0
    pull: bool = False


class SitePlan(msgspec.Struct, forbid_unknown_fields=True):
    """A landing page; `queue` is the key of a queue of the same campaign."""

    key: Key
    name: Words
    queue: Key
    origins: Annotated[list[Origin], Meta(min_length=1)]
    phone: E164 | None = None
    actions: Annotated[list[Annotated[str, Meta(pattern="^(call|later|chat|whatsapp|video|tel)$")]],
                       Meta(min_length=1, max_length=6)] = msgspec.field(default_factory=lambda: ["call", "later"])
    daily_spend_cap: Annotated[int, Meta(ge=0)] = 0
    hourly_spend_cap: Annotated[int, Meta(ge=0)] = 0


class BoxPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A box of a foreign form: what it agrees to, in the words that stand beside it there."""

    purpose: Annotated[str, Meta(pattern="^[a-z_]{1,40}$")]
    text: Annotated[str, Meta(min_length=1, max_length=2000)]
    version: Annotated[str, Meta(max_length=40)] = "1"


class ConnectorPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A foreign party's door. `queue` is the key of a queue of the same campaign, or `site` that of a landing page.

    `secret` is what the party signs with (Google's key, Meta's app secret, the webhook's secret of a shop or a mail
    server), `previous_secret` the one before while it is changed; `verify_token` and `token` are Meta's. `columns` maps
    a form's own questions to name, email, phone, message, country, locale or "field:KEY" of the campaign's. `basis` is
    "service" when the merchant may call about carts whose buyers ticked nothing. `consent_text` is what the form, or
    the shop's marketing box, says. All secrets are stored encrypted and never shown.
    """

    name: Key
    party: Annotated[str, Meta(pattern="^(google_ads|meta|shopify|woocommerce|email)$")]
    secret: Secret
    queue: Key | None = None
    site: Key | None = None
    previous_secret: Secret | None = None
    verify_token: Secret | None = None
    token: Secret | None = None
    graph_version: Annotated[str, Meta(pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")] = "v21.0"
    columns: dict[Words, Annotated[str, Meta(
        pattern="^(name|email|phone|message|country|locale|field:[a-z0-9][a-z0-9_-]{0,63})$")]] = {}
    delay_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 45
    basis: Annotated[str, Meta(pattern="^(service)?$")] = ""
    consent_text: Annotated[str, Meta(max_length=2000)] = ""
    consent_version: Annotated[str, Meta(max_length=40)] = "1"
    consents: dict[Words, BoxPlan] = {}
    closed: bool = False


class LinkPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A short link for what is printed: a poster, a counter, a promoter. `site` is the key of a landing page of the
    same campaign, `target` "form", "register", "kiosk" or an address on its origins, `last_day` the last on which the
    link works. Its code is made once and stays."""

    piece: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,59}$")]
    name: Annotated[str, Meta(min_length=1, max_length=100)]
    site: Key
    target: Annotated[str, Meta(min_length=1, max_length=2000)] = "form"
    last_day: Day | None = None
    active: bool = True


class SigningPlan(msgspec.Struct, forbid_unknown_fields=True):
    """Who takes the customer's signature: the house itself ("embedded"), or a third party of trust. What was entrusted
    to another one before stays there.

    `url` is the provider's address, if it is not the usual one; `token` opens the account there (DocuSign: the private
    RSA key, PEM), `secret` is what its messages are signed with, `previous_secret` the one before while it is changed.
    `deliver` says who texts the link, "provider" or "house". `account`, `user`, `client`, `login` and `workflow` are
    DocuSign's. Messages are taken from `networks` (CIDR) alone, if there are any. All secrets are stored encrypted and
    never shown.
    """

    provider: Annotated[str, Meta(pattern="^(embedded|docuseal|docusign|signaturit)$")]
    url: Annotated[str, Meta(pattern=r"^(https?://[^/\s?#]+(/[^\s?#]*[^/\s?#])?)?$")] = ""
    token: Annotated[str, Meta(min_length=8, max_length=10_000)] | None = None
    secret: Secret | None = None
    previous_secret: Secret | None = None
    deliver: Annotated[str, Meta(pattern="^(provider|house)$")] = "provider"
    account: Annotated[str, Meta(max_length=100)] = ""
    user: Annotated[str, Meta(max_length=100)] = ""
    client: Annotated[str, Meta(max_length=100)] = ""
    login: Annotated[str, Meta(max_length=200)] = ""
    workflow: Annotated[str, Meta(max_length=100)] = ""
    networks: Annotated[list[Annotated[str, Meta(max_length=50)]], Meta(max_length=50)] = []


class TimePlan(msgspec.Struct, forbid_unknown_fields=True):
    """Whose timestamps a campaign's seals carry: the house's own or those it was set up with ("embedded"), or those of
    one authority ("rfc3161") and of nobody in its place: what it does not stamp waits, and is not sealed.

    `url` is where it is asked, `roots` are the certificates (PEM, one after the other) its timestamps lead to; `user`
    and `password` where it asks for them. The password is stored encrypted and never shown.
    """

    provider: Annotated[str, Meta(pattern="^(embedded|rfc3161)$")]
    url: Annotated[str, Meta(pattern=r"^(https?://[^/\s?#@]+(/\S*)?)?$", max_length=500)] = ""
    roots: Annotated[str, Meta(max_length=100_000)] = ""
    user: Annotated[str, Meta(max_length=200)] = ""
    password: Secret | None = None


class CustodyPlan(msgspec.Struct, forbid_unknown_fields=True):
    """Who keeps the evidence of a campaign's signatures where the house cannot change it: nobody ("none"), or a
    "depository", a store that takes what is put under a name once. What he has got already stays with him.

    `keeper` is what receipts call him, `url` where he takes it, `token` what opens the account. He is given the whole
    "bundle", or its "digest" alone. The token is stored encrypted and never shown.
    """

    provider: Annotated[str, Meta(pattern="^(none|depository)$")]
    url: Annotated[str, Meta(pattern=r"^(https?://[^/\s?#@]+(/[^\s?#]*[^/\s?#])?)?$", max_length=500)] = ""
    keeper: Annotated[str, Meta(max_length=100)] = ""
    token: Secret | None = None
    gives: Annotated[str, Meta(pattern="^(bundle|digest)$")] = "bundle"


class CampaignPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A brand with its queues and landing pages. Times in seconds, money in minor units. Who takes signatures, gives
    their time and keeps their evidence stays as it is unless `signing`, `time` or `custody` says it."""

    key: Key
    name: Words
    caller_id: E164
    sender: E164
    company: CompanyPlan
    queues: Annotated[list[QueuePlan], Meta(min_length=1)]
    sites: list[SitePlan] = []
    products: list[ProductPlan] = []
    locale: Annotated[str, Meta(pattern=LOCALE)] = "es"
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "ES"
    timezone: Words = "Europe/Madrid"
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    rule_pack: PackKey = BY_COUNTRY
    consent_text: Annotated[str, Meta(max_length=2000)] = ""
    consent_version: Annotated[str, Meta(max_length=40)] = "1"
    stale_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] = 259_200
    quote_days: Annotated[int, Meta(ge=1, le=365)] = 14
    daily_spend_cap: Annotated[int, Meta(ge=0)] = 20_000
    fields: Annotated[list[FieldPlan], Meta(max_length=60)] = []
    consents: Annotated[list[ConsentPlan], Meta(max_length=8)] = []
    countries: list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]] = []
    whatsapp: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{6,14})?$")] = ""
    keep_address: Annotated[str, Meta(pattern="^(truncated|full|none)$")] = "truncated"
    mail_from: Annotated[str, Meta(max_length=200)] = ""
    remind_minutes: Annotated[int, Meta(ge=0, le=1_440)] = 60
    target_counts: Annotated[str, Meta(pattern="^(sold|talks)$")] = "sold"
    terms: Terms = Terms()
    discount_bp: BasisPoints = 10_000
    catalogue_only: bool = False
    line_minutes: Annotated[int, Meta(ge=1, le=1_440)] = 30
    office_networks: Annotated[list[Annotated[str, Meta(max_length=43)]], Meta(max_length=50)] = []
    retention_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    evidence_days: Annotated[int, Meta(ge=0, le=36_500)] = 0
    handout_days: Annotated[int, Meta(ge=1, le=365)] = 30
    countersign: bool = False
    numbers: list[NumberPlan] = []
    connectors: list[ConnectorPlan] = []
    links: list[LinkPlan] = []
    cadences: Annotated[list[CadencePlan], Meta(max_length=30)] = []
    signing: SigningPlan | None = None
    time: TimePlan | None = None
    custody: CustodyPlan | None = None


class CapacityPlan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How many tasks somebody may hold at once by channel: one voice, and as many chats as he can answer."""

    call: Annotated[int, Meta(ge=0, le=1)] = 1
    chat: Annotated[int, Meta(ge=0, le=8)] = 1
    video: Annotated[int, Meta(ge=0, le=1)] = 1


class AgentPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A user. `password` is needed the first time, or `password_hash` (Argon2id). `skills` are names, or names with
    levels; `capacity` is how many tasks he may hold by channel; `most_a_day` how many he is given in a day (0: any),
    `weight` his share of them, `week_target` what he is to reach in a week (0: nothing), of what his campaigns' own
    `target_counts` names. `discount_bp` is how far below the catalogue he may go by himself, in basis points, else what
    his campaigns say. Whether he is `disabled` stays as it is unless it is said."""

    login: Key
    name: Words
    role: Role = Role.agent
    address: Annotated[str, Meta(pattern=r"^(client:[A-Za-z0-9_]{1,60}|\+[1-9][0-9]{6,14})$")] = ""
    locale: Annotated[str, Meta(pattern=LOCALE)] = "es"
    skills: Skills = []
    pool: Annotated[int, Meta(ge=1)] = 1
    capacity: CapacityPlan = CapacityPlan()
    weight: Annotated[float, Meta(gt=0, le=100)] = 1.0
    most_a_day: Annotated[int, Meta(ge=0, le=1_000)] = 0
    week_target: Annotated[int, Meta(ge=0, le=10_000)] = 0
    shifts: HoursPlan = HoursPlan()
    discount_bp: BasisPoints | None = None
    disabled: bool | None = None
    password: Annotated[str, Meta(min_length=10, max_length=200)] | None = None
    password_hash: Annotated[str, Meta(pattern=r"^\$argon2id\$")] | None = None


class RegisterPlan(msgspec.Struct, forbid_unknown_fields=True):
    """A do-not-call register that is asked number by number. `name` is the country packs' word for it, `secret` what it
    knows us by, stored encrypted. The rest is `integrations.registers.http`'s: how the number is `written` in which
    `field`, in which `header` the secret goes after which `scheme`, and where the answer says yes or no (`listed`), of
    when it is and until when it holds ("" where it does not say). A `closed` one is asked nothing more.
    `probe` is the number (E.164) the doctor asks about; a number nobody has, unless it is said."""

    name: Annotated[str, Meta(pattern=f"^{NAME.pattern}$")]
    url: Annotated[str, Meta(max_length=500, pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[^\s]+$")]
    secret: Secret
    adapter: Annotated[str, Meta(pattern="^http$")] = "http"
    field: Name = "number"
    written: Annotated[str, Meta(pattern="^(e164|digits|sha256)$")] = "e164"
    header: Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]{0,59}$")] = "Authorization"
    scheme: Annotated[str, Meta(pattern="^[A-Za-z]{0,20}$")] = "Bearer"
    listed: Name = "listed"
    as_of: Annotated[str, Meta(max_length=100)] = ""
    until: Annotated[str, Meta(max_length=100)] = ""
    probe: Annotated[str, Meta(pattern=r"^(\+[1-9][0-9]{6,14})?$")] = ""
    closed: bool = False


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file. Where it lists its `skills`, it knows no others."""

    skills: list[Skill] = []
    campaigns: list[CampaignPlan] = []
    agents: list[AgentPlan] = []
    registers: list[RegisterPlan] = []


class WrongFile(Exception):
    """The file cannot be applied. The message names the place and what it should be."""


def read(text: str) -> Plan:
    """A plan from TOML. Raises WrongFile with the line and the field."""
    try:
        return msgspec.toml.decode(text, type=Plan)
    except msgspec.ValidationError as error:
        raise WrongFile(_placed(text, str(error))) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise WrongFile(f"not TOML: {error}") from error


_PATH = re.compile(r"^(?P<what>.*?)(?: - at (?:`[a-z]+` in )?`\$?(?P<path>[^`]*)`)?$", re.DOTALL)
_FIELD = re.compile(r"unknown field `([^`]*)`")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*(?:\.[^=]*)?=")


_PATTERN = re.compile(r"`str` matching regex '(.*)'")
_CHOICES = re.compile(r"\^\(([a-z0-9_|]+)\)\??\$")
_SHAPES = (
    (r"\\+[1-9][0-9]{6,14}", "a telephone number such as +34910000000"), (r"^[A-Z]{2}$", "a country such as ES"),
    (r"[A-Z]{3}", "a currency such as EUR"), (r"[01]\\d|2[0-3]", "a time such as 09:30"),
    (r"\\d{4}-", "a day such as 2026-11-01"), (r"^[a-z0-9][a-z0-9_-]", "small letters, digits, - and _"),
    ("https?://", "an address such as https://luz.example"), ("@", "an e-mail address"),
)
"""What a pattern has in it, as the validator writes it, and what it asks for."""


def _in_words(what: str) -> str:
    """The validator's sentence with a pattern it asks for in words."""
    found = _PATTERN.search(what)
    if found is None:
        return what
    if choices := _CHOICES.fullmatch(found[1]):
        return what.replace(found[0], "one of " + ", ".join(choices[1].split("|")))
    return what.replace(found[0], next((words for part, words in _SHAPES if part in found[1]), found[0]))


def _placed(text: str, error: str) -> str:
    """The validator's sentence with the line it is about."""
    found = _PATH.match(error)
    what, path = (found["what"], found["path"] or "") if found else (error, "")
    steps = [int(one) if one.isdigit() else one for one in re.findall(r"[A-Za-z0-9_-]+", path)]
    if unknown := _FIELD.search(what):
        steps.append(unknown[1])
    line = line_of(text, steps)
    return f"line {line}: {_in_words(what)}{f' at {path.lstrip(chr(46))}' if path else ''}"


def line_of(text: str, steps: Sequence[str | int]) -> int:
    """The line (from 1) of the deepest part of this path that the file shows, e.g. ("campaigns", 0, "queues", 1)."""
    counts: dict[tuple[str | int, ...], int] = {}
    here: tuple[str | int, ...] = ()
    best, depth = 1, 0
    wanted = tuple(steps)
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            here = _address(header[2].split("."), counts, is_array=header[1] == "[[")
            place = here
        elif key := _KEY.match(line):
            place = (*here, key[1])
        else:
            continue
        if len(place) > depth and wanted[: len(place)] == place:
            best, depth = number, len(place)
    return best


def _address(names: list[str], counts: dict[tuple[str | int, ...], int], *, is_array: bool) -> tuple[str | int, ...]:
    """The path a table's header opens: names with the numbers of the array tables among them."""
    place: tuple[str | int, ...] = ()
    for name in names[:-1]:
        place = (*place, name.strip())
        if place in counts:
            place = (*place, counts[place])
    place = (*place, names[-1].strip())
    if is_array:
        counts[place] = counts.get(place, -1) + 1
        place = (*place, counts[place])
    return place


def columns(plan: msgspec.Struct, *without: str) -> dict[str, Any]:
    """The plan's fields as column values."""
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(plan))  # as they come back from the database
    return {name: value for name, value in values.items() if name not in without}
