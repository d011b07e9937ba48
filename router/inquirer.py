"""The inquirer: asks registers what somebody wants to know of a number, outside every transaction.

Claimed with a lease, asked, kept: asking twice does no harm, so whatever crashes in between is simply asked again.
"""

import asyncio
import logging
from collections.abc import Mapping

from router.actions import inquiring
from router.book import Book
from router.model.registers import Inquiry, RegisterService
from router.ports import OutsideError, Refused, Register, RegisterAnswer, RegisterDoor

log = logging.getLogger(__name__)

AT_ONCE = 8
ANSWER_SECONDS = 10.0


_ADVICE = {
    "401": "does not let us in: is the secret right, and the header and the scheme it is sent with?",
    "403": "does not let us in: is the secret right, and may our address ask there?",
    "404": "has no such door: is the url right?",
    "405": "has no such door: is the url right?",
    "400": "does not take the number it was tried with: are field and written right? probe names another, e.g. yours",
    "422": "does not take the number it was tried with: are field and written right? probe names another, e.g. yours",
    "429": "says that it is asked too often: try again later",
    "settings": "cannot be asked at all: are url, secret and header right?",
    "adapter": "cannot be asked: there is no such adapter",
    "answer": "answers what we do not understand: are listed, as_of and until where the answer has them?",
}
"""What to do about a door that does not work, by why."""


async def trouble_at(adapter: Register | None, door: RegisterDoor) -> str:
    """What is wrong with a register's door, and what to do; "" when it answers and lets us in. It is asked about a
    number that is nobody's, or the one set for this; nothing is kept. The words name neither secret nor address."""
    if adapter is None:
        return _ADVICE["adapter"]
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await adapter.ask(door, door.probe)
    except TimeoutError:
        return f"has not answered for {ANSWER_SECONDS:.0f} s: is the url right, and does it work at all?"
    except Refused as refused:
        again = "try again later" if not refused.permanent else "ask whoever runs it"
        return _ADVICE.get(refused.code, f"refuses to answer ({refused.code or refused}): {again}")
    except OutsideError as error:
        return f"cannot be reached ({error}): is the url right, and is it open to us?"
    return ""


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
        door = inquiring.opened(self._book.vault, service)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await adapter.ask(door, inquiry.phone)

    async def _not_answered(self, inquiry: Inquiry, reason: str, *, permanent: bool = False) -> None:
        async with self._book.writing() as w:
            await inquiring.not_answered(w, inquiry, reason, permanent=permanent)
        log.warning("register not asked", extra={"register": inquiry.register, "reason": reason})
