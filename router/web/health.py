"""Health: whether the process lives, whether it is ready for work, and its figures for Prometheus.

No personal data: figures, and the keys of campaigns and queues.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from router.model.agents import Role
from router.model.errors import Forbidden, NotSignedIn
from router.store import vitals
from router.web.doors import doors
from router.web.gate import require

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

ANSWER_SECONDS = 1.0
RETRY_AFTER = {"Retry-After": "2"}
TEXT = "text/plain; version=0.0.4; charset=utf-8"
FORWARDED = ("Forwarded", "X-Forwarded-For", "Via")


class Beat(Protocol):
    """A sweep as health sees it. Seconds."""

    @property
    def name(self) -> str: ...
    @property
    def lateness(self) -> float: ...
    @property
    def failures(self) -> int: ...


class Pulse(Protocol):
    """The clock and its watchdog."""

    @property
    def healthy(self) -> bool: ...
    @property
    def alive(self) -> bool: ...
    @property
    def restarts(self) -> int: ...
    @property
    def sweeps(self) -> Sequence[Beat]: ...


class Samples(Protocol):
    """Figures of the last minutes."""

    def quantile(self, q: float, /) -> float: ...
    def __len__(self) -> int: ...


class Pool(Protocol):
    """The database's connections."""

    def size(self) -> int: ...
    def checkedout(self) -> int: ...


class Songbird(Protocol):
    """The canary alarm of each minute, in seconds: how late it was in the last hours, how long there was none."""

    @property
    def healthy(self) -> bool: ...
    @property
    def silent_seconds(self) -> float: ...
    @property
    def p50(self) -> float: ...
    @property
    def p99(self) -> float: ...


@dataclass(frozen=True)
class Figures:
    """What this process knows of itself. `lateness` of due work and `rings` (lead to reservation) in seconds."""

    ticks: Pulse
    lateness: Samples
    rings: Samples
    pool: Pool | None = None
    canary: Songbird | None = None

    @property
    def healthy(self) -> bool:
        return self.ticks.healthy and (self.canary is None or self.canary.healthy)

    @property
    def song(self) -> dict[str, dict[str, float]]:
        """Of the canary, for who looks after the house."""
        if self.canary is None:
            return {}
        bird = self.canary
        return {"canary": {"p99_seconds": round(bird.p99, 3), "silent_seconds": round(bird.silent_seconds, 1)}}


FIGURES = web.AppKey("figures", Figures)


@routes.get("/healthz")
async def healthz(request: web.Request) -> web.Response:
    """503 when the watchdog found no cure, or no canary was done for five minutes though the database answers: the
    process should be started anew. Does not ask the database."""
    figures = request.app[FIGURES]
    healthy = figures.healthy
    answer = {"ok": healthy, **figures.song}
    return web.json_response(answer, status=200 if healthy else 503, headers={} if healthy else RETRY_AFTER)


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """503 while the database does not answer within a second, its schema is another, or the sweeps do not run. Late
    alarms keep nobody from coming in: the canary is told of, and does not count."""
    checks = {"sweeps": request.app[FIGURES].ticks.alive, "database": False, "schema": False}
    try:
        async with asyncio.timeout(ANSWER_SECONDS), doors(request).book.reading() as r:
            checks["database"] = True
            checks["schema"] = await vitals.up_to_date(r.session)
    except Exception as error:
        log.warning("not ready", extra={"error": type(error).__name__})
    ready = all(checks.values())
    answer = {"ready": ready, **checks, **request.app[FIGURES].song}
    return web.json_response(answer, status=200 if ready else 503, headers={} if ready else RETRY_AFTER)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """For this machine itself, or an administrator who is signed in."""
    if not from_this_machine(request):
        try:
            await require(request, Role.admin)
        except NotSignedIn as error:
            raise Forbidden("These figures are for this machine and for administrators.") from error
    house = doors(request)
    async with house.book.reading() as r:
        seen = await vitals.read(r.session, r.now)
    lines = [*_of_database(seen), *_of_process(request.app[FIGURES], house.hub.watched)]
    return web.Response(body="".join(f"{line}\n" for line in lines).encode(), headers={"Content-Type": TEXT})


def from_this_machine(request: web.Request) -> bool:
    """By the connection's own address. Headers are not believed, except against the asker: what a proxy passes on came
    from elsewhere."""
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


Sample = tuple[dict[str, str], float]


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP hablemos_{name} {text}"
    yield f"# TYPE hablemos_{name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        yield f"hablemos_{name}{{{inside}}} {value:g}" if inside else f"hablemos_{name} {value:g}"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _quantiles(samples: Samples) -> list[Sample]:
    return [({"quantile": str(q)}, samples.quantile(q)) for q in (0.5, 0.99)]


def _of_database(seen: vitals.Vitals) -> Iterator[str]:
    yield from _family("oldest_unsent_delivery_seconds", "gauge", "Age of the oldest delivery due and not claimed.",
                       [({}, seen.oldest_unsent)])
    yield from _family("oldest_due_alarm_seconds", "gauge", "Age of the oldest alarm that is due and not run.",
                       [({}, seen.oldest_alarm)])
    yield from _family("oldest_inbox_seconds", "gauge", "Age of the oldest message from outside not yet understood.",
                       [({}, seen.oldest_message)])
    yield from _family("facts_held_back_seconds", "gauge", "Age of the oldest fact held back by an open writer.",
                       [({}, seen.held_back)])
    queues = [({"campaign": campaign, "queue": queue}, count) for (campaign, queue), count in seen.queues.items()]
    yield from _family("queue_length", "gauge", "Tasks waiting.", queues)
    yield from _family("deliveries", "gauge", "Deliveries by state: those not final, and those abandoned.",
                       [({"state": state}, count) for state, count in seen.deliveries.items()])
    yield from _family("parked", "gauge", "What failed five times and waits for a person.",
                       [({"kind": "alarm"}, seen.parked_alarms), ({"kind": "inbox"}, seen.parked_messages)])
    yield from _family("authority_ends_seconds", "gauge", "Until a certificate, or a list of revoked ones, ends.",
                       [({"what": what}, seconds) for what, seconds in seen.endings.items()])


def _of_process(figures: Figures, streams: int) -> Iterator[str]:
    ticks = figures.ticks
    yield from _family("due_work_lateness_seconds", "gauge", "From due to claimed, of the last five minutes.",
                       _quantiles(figures.lateness))
    yield from _family("ring_seconds", "gauge", "From a lead to its first reservation, of the last five minutes.",
                       _quantiles(figures.rings))
    yield from _family("streams_open", "gauge", "Screens watching.", [({}, streams)])
    yield from _family("sweep_lateness_seconds", "gauge", "How much later than planned a sweep last ran.",
                       [({"sweep": sweep.name}, sweep.lateness) for sweep in ticks.sweeps])
    yield from _family("sweep_failures", "gauge", "Failures of a sweep since it last succeeded.",
                       [({"sweep": sweep.name}, sweep.failures) for sweep in ticks.sweeps])
    yield from _family("scheduler_restarts_total", "counter", "How often the watchdog replaced the scheduler.",
                       [({}, ticks.restarts)])
    if figures.canary is not None:
        bird = figures.canary
        yield from _family("canary_lateness_seconds", "gauge",
                           "From due to done of the alarm of each minute, of the last six hours.",
                           [({"quantile": "0.5"}, bird.p50), ({"quantile": "0.99"}, bird.p99)])
        yield from _family("canary_silent_seconds", "gauge", "How long no canary has been done.",
                           [({}, bird.silent_seconds)])
    if figures.pool is not None:
        yield from _family("database_connections", "gauge", "Connections of the pool.",
                           [({"state": "used"}, figures.pool.checkedout()), ({"state": "most"}, figures.pool.size())])
