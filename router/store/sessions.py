"""Sessions as queries: who is signed in, how often a door was tried, the one-time set-up link."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, DateTime, LargeBinary, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from router.model.agents import Agent
from router.model.sessions import SESSION_LIFE, LoginCount, Session, SetupLink
from router.model.vault import hash_token, new_token
from router.store.db import ReadSession, WriteSession

TRIES_WINDOW = timedelta(minutes=15)
SETUP_LIFE = timedelta(days=7)


@dataclass(frozen=True)
class Opened:
    """A new session: `token` goes into the cookie and is stored nowhere, `csrf` into the page."""

    token: str
    csrf: str


async def open_session(session: WriteSession, agent_id: int, now: datetime) -> Opened:
    """A session with names of its own: nothing a browser brought along is kept."""
    opened = Opened(secrets.token_urlsafe(32), new_token())
    session.add(Session(
        token_hash=hash_token(opened.token), agent_id=agent_id, csrf=opened.csrf, created_at=now,
        expires_at=now + SESSION_LIFE,
    ))
    await session.flush()
    return opened


async def signed_in(session: ReadSession, token: str, now: datetime) -> tuple[Agent, Session] | None:
    """Who holds this token, unless the session is over or the agent is disabled."""
    rows = await session.rows(
        select(Agent, Session)
        .join(Session, Session.agent_id == Agent.id)
        .where(Session.token_hash == hash_token(token), Session.expires_at > now, Agent.disabled_at.is_(None))
    )
    return (rows[0][0], rows[0][1]) if rows else None


_ALIVE = text(
    """
    select 1 from sessions s join agents a on a.id = s.agent_id
    where s.token_hash = :token_hash and s.expires_at > :now and a.disabled_at is null
    """
)


async def alive(session: ReadSession, token: str, now: datetime) -> bool:
    """Whether this token still opens the house; asked before each message of a stream."""
    return bool(await session.rows(_ALIVE, {"token_hash": hash_token(token), "now": now}))


async def close_session(session: WriteSession, token: str) -> None:
    await session.execute(delete(Session).where(Session.token_hash == hash_token(token)))


async def close_all(session: WriteSession, agent_id: int) -> None:
    """Signs this agent out, wherever he is signed in."""
    await session.execute(delete(Session).where(Session.agent_id == agent_id))


async def sweep(session: WriteSession, now: datetime) -> None:
    """Forgets what is over: sessions, and counts whose window has passed."""
    await session.execute(delete(Session).where(Session.expires_at <= now))
    await session.execute(delete(LoginCount).where(LoginCount.since <= now - TRIES_WINDOW))


# The rows are taken in the order of their keys, so that two counters never wait for each other in a circle.
_COUNT = text(
    """
    insert into login_counts (scope, since, tries)
    select scope, :now, 1 from unnest(:scopes) as scope order by scope
    on conflict (scope) do update set
        tries = case when login_counts.since <= :stale then 1 else login_counts.tries + 1 end,
        since = case when login_counts.since <= :stale then excluded.since else login_counts.since end
    returning scope, tries
    """
).bindparams(
    bindparam("scopes", type_=ARRAY(LargeBinary)),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("stale", type_=DateTime(timezone=True)),
).columns(scope=LargeBinary, tries=BigInteger)


async def count_tries(session: WriteSession, scopes: Sequence[str], now: datetime) -> dict[str, int]:
    """Counts one more try in each scope; how many there were in the present window, this one included."""
    hashes = {hash_token(scope): scope for scope in scopes}
    rows = await session.execute(_COUNT, {"scopes": list(hashes), "now": now, "stale": now - TRIES_WINDOW})
    return {hashes[bytes(row[0])]: row[1] for row in rows}


_TAKE_BACK = text("update login_counts set tries = greatest(tries - 1, 0) where scope = :scope")


async def succeeded(session: WriteSession, pair: str, others: Sequence[str]) -> None:
    """After a right password: the person behind the pair is no guesser, and this try was no failure of the others.

    Row by row in the order in which they are counted, or it would wait in a circle with who counts.
    """
    for scope in sorted({hash_token(one) for one in (pair, *others)}):
        if scope == hash_token(pair):
            await session.execute(delete(LoginCount).where(LoginCount.scope == scope))
        else:
            await session.execute(_TAKE_BACK, {"scope": scope})


async def make_setup_link(session: WriteSession, now: datetime) -> str:
    """The token of a new one-time link for the first administrator. Earlier unused ones end."""
    token = new_token()
    await session.execute(update(SetupLink).where(SetupLink.used_at.is_(None)).values(used_at=now))
    session.add(SetupLink(token_hash=hash_token(token), created_at=now, expires_at=now + SETUP_LIFE))
    await session.flush()
    return token


async def setup_link_open(session: ReadSession, token: str, now: datetime) -> bool:
    """Whether the link may still be used."""
    found = await session.scalar(
        select(SetupLink.id).where(
            SetupLink.token_hash == hash_token(token), SetupLink.used_at.is_(None), SetupLink.expires_at > now
        )
    )
    return found is not None


async def use_setup_link(session: WriteSession, token: str, now: datetime) -> bool:
    """Uses the link up. Of two at once the second waits for the first and finds it used."""
    rows = await session.execute(
        update(SetupLink)
        .where(SetupLink.token_hash == hash_token(token), SetupLink.used_at.is_(None), SetupLink.expires_at > now)
        .values(used_at=now)
        .returning(SetupLink.id)
    )
    return len(rows) == 1
