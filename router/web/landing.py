"""The demo's landing page: a brand's own site on an origin of its own, under a strict content policy."""

from aiohttp import web

from router.model.phone import unbroken
from router.paths import STATIC
from router.wording import LOCALES, Wording, language, negotiate

LANDING_PHONE = "+34910000000"


def content_policy(app_url: str) -> str:
    """Only the page's own style sheet, and the widget's host for scripts and requests; nothing inline."""
    return (
        f"default-src 'none'; script-src {app_url}; connect-src {app_url}; style-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


def make_landing(
    app_url: str, key: str, wording: Wording, *, phone: str = LANDING_PHONE, whatsapp: str = LANDING_PHONE
) -> web.Application:
    """The site of the demo's brand. `app_url` is where the house answers, without a slash at its end; `key` the site's
    public key; `phone` and `whatsapp` (E.164) are where its links lead without a script, beside the house's form."""
    policy = content_policy(app_url)

    async def page(request: web.Request) -> web.Response:
        locale = negotiate(request.query.get("lang"), request.headers.get("Accept-Language"), "es")
        text = wording.page(
            "widget/landing.html", locale, app_url=app_url, key=key, phone=phone, phone_shown=unbroken(phone),
            whatsapp=whatsapp.removeprefix("+"), form=f"{app_url}/f/{key}",
            languages=[(one, language(one).capitalize()) for one in LOCALES],
        )
        return web.Response(text=text, content_type="text/html", headers={
            "Content-Security-Policy": policy, "Vary": "Accept-Language", "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin",
        })

    async def style(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "widget" / "landing.css", headers={"Cache-Control": "no-cache"})

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/landing.css", style)])
    return app
