"""The pages of the mail server: what it caught, one by one, as a page and as text."""

from aiohttp import web

from integrations.phonebox.exchange import NotPossible
from integrations.phonebox.mailbox import Caught, Mailbox
from integrations.phonebox.pages import Pages


class Mails:
    def __init__(self, mailbox: Mailbox, pages: Pages) -> None:
        self._mailbox, self._pages = mailbox, pages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/mails", self.index),
            web.get("/mails.json", self.all),
            web.get("/mails/{sid}.json", self.record),
            web.get("/mails/{sid}/html", self.inside),
            web.get("/mails/{sid}", self.mail),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """The newest first; `to` narrows it to one recipient."""
        return self._pages.mails(request, self._of(request))

    async def all(self, request: web.Request) -> web.Response:
        return web.json_response([each.as_record() for each in self._of(request)])

    async def record(self, request: web.Request) -> web.Response:
        return web.json_response(self._asked(request).as_record())

    async def mail(self, request: web.Request) -> web.Response:
        return self._pages.mail(request, self._asked(request))

    async def inside(self, request: web.Request) -> web.Response:
        return self._pages.inside(self._asked(request))

    def _of(self, request: web.Request) -> list[Caught]:
        to = request.query.get("to", "").lower()
        found = self._mailbox.newest_first()
        return [each for each in found if to in (one.lower() for one in each.to)] if to else found

    def _asked(self, request: web.Request) -> Caught:
        mail = self._mailbox.mails.get(request.match_info["sid"])
        if mail is None:
            raise NotPossible("There is no such mail", code=20404, status=404)
        return mail
