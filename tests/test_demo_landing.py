"""The demonstration's landing page is its campaign's: the same number and company as in the widget on it."""

from router import demo
from router.model.configuration import read
from router.paths import TEMPLATES


def test_the_landing_page_shows_the_campaigns_own_number_and_company() -> None:
    (campaign,) = read(demo.PLAN).campaigns
    assert campaign.company is not None
    assert {campaign.caller_id, campaign.whatsapp, campaign.company.phone} == {demo.NUMBER}
    assert campaign.company.name in (TEMPLATES / "widget" / "landing.html").read_text()
