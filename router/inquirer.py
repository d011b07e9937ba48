"""The inquirer: asks registers what somebody wants to know of a number, outside every transaction.

Claimed with a lease, asked, kept: asking twice does no harm, so whatever crashes in between is simply asked again.
"""

import asyncio
import logging
from collections.abc import Mapping

from router.actions import inquiring
from router.book import Book
from router.model.registers import SEALED_FOR, Inquiry, RegisterService
from router.ports import OutsideError, Refused, Register, RegisterAnswer, RegisterDoor

log = logging.getLogger(__name__)

AT_ONCE = 8
ANSWER_SECONDS = 10.0


class Inquirer:
    """One a process. `adapters` ask by their names."""

    def __init__(self, book: Book, adapters: Mapping[str, Register]) -> None:
        self._book = book
        self._adapters = adapters

    async def sweep(self) -> int:
        """Asks what is due; how many numbers were asked about."""
        async with self._book.writing() as w:
            claimed = await inquiring.claim(w, AT_ONCE)
        await asyncio.gather(*(self._ask(*one) for one in claimed))
        if len(claimed) == AT_ONCE:
            self._book.hub.tell((inquiring.HINT,))
        return len(claimed)

    async def _ask(self, inquiry: Inquiry, service: RegisterService) -> None:
        try:
            answer = await self._answer(inquiry, service)
        except TimeoutError:
            await self._not_answered(inquiry, "timeout")
        except Refused as refused:
            await self._not_answered(inquiry, refused.code or "refused", permanent=refused.permanent)
        except OutsideError:
            await self._not_answered(inquiry, "network")
        except Exception as error:
            log.error("the register's adapter broke its promise", extra={"error": type(error).__name__})
            await self._not_answered(inquiry, "broken")
        else:
            async with self._book.writing() as w:
                await inquiring.answered(w, inquiry, answer)

    async def _answer(self, inquiry: Inquiry, service: RegisterService) -> RegisterAnswer:
        adapter = self._adapters.get(service.adapter)
        if adapter is None:
            raise Refused("no such adapter", permanent=True, code="adapter")
        secret = self._book.vault.open(SEALED_FOR, service.sealed).decode()
        async with asyncio.timeout(ANSWER_SECONDS):
            return await adapter.ask(RegisterDoor(service.url, secret, service.settings), inquiry.phone)

    async def _not_answered(self, inquiry: Inquiry, reason: str, *, permanent: bool = False) -> None:
        async with self._book.writing() as w:
            await inquiring.not_answered(w, inquiry, reason, permanent=permanent)
        log.warning("register not asked", extra={"register": inquiry.register, "reason": reason})
