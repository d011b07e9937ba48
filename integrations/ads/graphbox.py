"""The Graph API's local twin: serves the leads it was given to who shows the right token, with Meta's own errors.

It trusts whoever reaches it: bind it to loopback.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from aiohttp import web

from integrations.http import serving


class Graphbox:
    """`leads` are served by their ids, in the Graph's shape. `faults` are answered first, one each: (status, code)."""

    def __init__(self, token: str) -> None:
        self.leads: dict[str, dict[str, Any]] = {}
        self.faults: list[tuple[int, int]] = []
        self.asked: list[str] = []
        self._token = token

    def put(self, name: str, answers: Mapping[str, str], **fields: Any) -> None:
        """A lead as a form took it."""
        data = [{"name": key, "values": [answer]} for key, answer in answers.items()]
        self.leads[name] = {"id": name, "created_time": "2026-11-23T11:59:00+0000", "field_data": data, **fields}

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes([web.get(r"/{version:v\d+\.\d+}/{name:\d+}", self._get)])
        return app

    async def _get(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["name"])
        if self.faults:
            return _error(*self.faults.pop(0))
        if request.query.get("access_token") != self._token:
            return _error(401, 190)
        found = self.leads.get(request.match_info["name"])
        if found is None:
            return _error(400, 100)
        fields = request.query.get("fields", "id,created_time").split(",")
        return web.json_response({key: value for key, value in found.items() if key in fields})

    def running(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serves until left; the address, without a slash at its end."""
        return serving(self.app(), host, port)


def _error(status: int, code: int) -> web.Response:
    error = {"message": f"(#{code})", "type": "OAuthException", "code": code, "fbtrace_id": "A"}
    return web.json_response({"error": error}, status=status)
