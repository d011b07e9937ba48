"""The fetcher: what a party only announced is fetched from it, outside every transaction.

Claimed with a lease, asked, kept: reading twice does no harm, so whatever crashes in between is simply fetched again.
What was fetched is understood by the inbox like any other message.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from router.book import Book
from router.model.connectors import SECRETS, Connector
from router.model.inbox import InboxRow
from router.ports import LeadSource, Refused
from router.store import inbox

log = logging.getLogger(__name__)

AT_ONCE = 8
LEASE = timedelta(seconds=30)
MOST_FAILURES = 12
"""With the pauses below, for about a day: a token that ran out on Friday evening is renewed on Saturday."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=4)


def pause(failures: int) -> timedelta:
    """After so many failures (from 1): 5 s, then three times as long after each, at most four hours."""
    return min(FIRST_PAUSE * 3.0 ** (failures - 1), LONGEST_PAUSE)


class Fetcher:
    """One a process. `sources` fetch by the name of their party."""

    def __init__(self, book: Book, sources: Mapping[str, LeadSource]) -> None:
        self._book = book
        self._sources = sources

    async def sweep(self) -> int:
        """Fetches what is due; how many were asked for."""
        async with self._book.writing() as w:
            claimed = await inbox.claim_fetches(w.session, w.now, w.now + LEASE, AT_ONCE)
            keys = {row.id: await w.session.get(Connector, int(row.source.split(":")[1])) for row in claimed}
        await asyncio.gather(*(self._fetch(row, keys[row.id]) for row in claimed))
        if len(claimed) == AT_ONCE:
            self._book.hub.tell(("fetches",))
        return len(claimed)

    async def _fetch(self, row: InboxRow, connector: Connector | None) -> None:
        try:
            if connector is None:
                raise Refused("no such connector", permanent=True, code="connector")
            secrets = msgspec.json.decode(self._book.vault.open(SECRETS, connector.sealed), type=dict[str, str])
            async with asyncio.timeout(LEASE.total_seconds() / 2):
                answer = await self._sources[connector.party.value].fetch(
                    row.dedupe_key, secrets.get("token", ""), connector.settings.get("graph_version", "")
                )
        except TimeoutError:
            await self._not_fetched(row, Refused("no answer in time", permanent=False, code="timeout"))
        except Refused as refused:
            await self._not_fetched(row, refused)
        except Exception as error:
            log.error("the source broke its promise", extra={"inbox": row.id, "error": type(error).__name__})
            await self._not_fetched(row, Refused(type(error).__name__, permanent=False, code="broken"))
        else:
            async with self._book.writing() as w:
                if await inbox.fetched(w.session, row, answer, w.now):
                    w.hint("inbox")

    async def _not_fetched(self, row: InboxRow, refused: Refused) -> None:
        failures = row.failures + 1
        over = refused.permanent or failures >= MOST_FAILURES
        async with self._book.writing() as w:
            again_at = None if over else w.now + pause(failures)
            if await inbox.not_fetched(w.session, row, again_at) and over:
                w.fact("inbox.parked", subject_id=row.id, reason=f"fetch.{refused.code}")
        log.warning("announced lead not fetched", extra={
            "inbox": row.id, "source": row.source, "code": refused.code, "failures": failures, "parked": over,
        })
