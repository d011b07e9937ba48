"""Protecting: which requests of the public doors are let through, the switch of a site, and the watch over prefixes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from router.book import Writing
from router.model.budgets import LEG_COST, hour_scope, site_scope
from router.model.campaigns import Site
from router.model.errors import NotFound
from router.model.protection import RATES, Asked, Verdict, Why, bits_for, kind_of, risk_of_rates
from router.model.rates import Counted, Standing, crowded, full, pressure, retry_after, scopes
from router.store import protection, rates, refusals


@dataclass
class _Scales:
    """What a batch is weighed against: how all scopes stand (it moves with every request let through), what the sites
    have cost, which prefixes are silent. Only `crowded` scopes can speak against one of its requests. `unused` is what
    was drawn for nothing."""

    now: datetime
    standing: dict[str, Standing]
    crowded: frozenset[str]
    spent: Mapping[str, int]
    silent: frozenset[str]
    unused: Counter[str] = field(default_factory=Counter)

    def weigh(self, asked: Asked, draws: Sequence[Counted]) -> Verdict:
        of_key = self.standing.get(asked.key.scope) if asked.key is not None else None
        again = of_key is not None and of_key.used > 0
        verdict = Verdict() if again else self._judge(asked)  # the same request was let through before
        if again or verdict.why is not None:
            self.unused.update(one.scope for one in draws)
        else:
            for one in draws:
                if one.scope in self.crowded:
                    used, ends_at = self.standing[one.scope]
                    self.standing[one.scope] = Standing(used + 1, ends_at)
        return verdict

    def _judge(self, asked: Asked) -> Verdict:
        if asked.refused is not None:
            return Verdict(asked.refused)
        if (until := self._spent_until(asked)) is not None:
            return Verdict(Why.spend, int((until - self.now).total_seconds()) + 1)
        felt = [one for one in asked.counted if one.scope in self.crowded]
        if (found := full(felt, self.standing)) is not None:
            return Verdict(RATES[found.kind], retry_after(self.standing[found.scope], self.now))
        risk = asked.risk + risk_of_rates(pressure(felt, self.standing), asked.prefix in self.silent)
        needed = bits_for(risk, asked.limits)
        spent = asked.nonce is None or self.standing[asked.nonce.scope].used > 0
        if needed > (0 if spent else asked.bits):
            return Verdict(Why.proof, bits=needed)
        return Verdict()

    def _spent_until(self, asked: Asked) -> datetime | None:
        """When the site may spend again, if it may not now."""
        if not (asked.daily_cap or asked.hourly_cap):
            return None
        hour = self.now.replace(minute=0, second=0, microsecond=0)
        midnight = hour.replace(hour=0)
        caps = (
            (asked.daily_cap, site_scope(asked.site_id), midnight + timedelta(days=1)),
            (asked.hourly_cap, hour_scope(asked.site_id, self.now), hour + timedelta(hours=1)),
        )
        return next((end for cap, scope, end in caps if cap and self.spent.get(scope, 0) + LEG_COST > cap), None)


def _drawn(asked: Asked, keyed: bool) -> list[Counted]:
    if asked.refused is not None:
        return []
    drawn = list(asked.counted)
    if asked.key is not None and keyed:
        drawn.append(asked.key)
    if asked.nonce is not None:
        drawn.append(asked.nonce)
    return drawn


async def weigh(w: Writing, asked: Sequence[Asked], *, keyed: bool = True) -> list[Verdict]:
    """Whether each request may come in, in order; the answers hold across replicas. Without `keyed` no request is known
    by its key: the caller has told by other means which came before.

    All scopes are drawn on in one statement and stay locked until the commit; what refused requests drew is given back.
    Who is refused has thus used nothing up, and the same idempotency key counts once.
    """
    draws = [_drawn(one, keyed) for one in asked]
    drawn = scopes(draws)
    standing, silent = await rates.draw(w.session, drawn, w.now, {one.prefix for one in asked if one.prefix})
    capped = {one.site_id for one in asked if one.daily_cap or one.hourly_cap}
    scales = _Scales(
        w.now, standing, crowded(drawn, standing), await protection.spent(w.session, capped, w.now), silent
    )
    verdicts = [scales.weigh(one, its_draws) for one, its_draws in zip(asked, draws, strict=True)]
    await rates.give_back(w.session, scales.unused)
    seen = Counter(
        (one.site_id, verdict.why.value) for one, verdict in zip(asked, verdicts, strict=True) if verdict.why
    )
    if seen:
        await refusals.count(w.session, seen, w.now)
        w.hint("wallboard")
    return verdicts


async def set_closed(w: Writing, site_id: int, closed: bool, agent_id: int) -> None:
    """Closes a landing page, or opens it again; twice changes nothing. Raises NotFound."""
    site = await protection.set_closed(w.session, site_id, closed)
    if site is not None:
        kind = "site.closed" if closed else "site.opened"
        w.fact(kind, campaign_id=site.campaign_id, subject_id=site_id, agent_id=agent_id)
        w.hint("wallboard")
    elif await w.session.get(Site, site_id) is None:
        raise NotFound("There is no such landing page.")


async def watch_prefixes(w: Writing) -> None:
    """Notes prefixes where hardly anybody answers (a sweep's work). One fact a day for each, without the digits."""
    for tried in await protection.silent_prefixes(w.session, w.now):
        country = kind_of(f"{tried.prefix}0000").country
        if await protection.note_silence(w.session, tried, country, w.now):
            w.fact("prefix.silent", country=country, digits=len(tried.prefix) - 1, tried=tried.tried,
                   answered=tried.answered)
            w.hint("wallboard")


async def forget_old(w: Writing) -> None:
    """Sweeps ended windows, old counts of refusals and old silences."""
    await rates.sweep(w.session, w.now)
    await refusals.sweep(w.session, w.now)
    await protection.sweep(w.session, w.now)
