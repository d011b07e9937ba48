"""What became of a text that announced a call."""

from router.model.announcements import DELIVERED, FAILED
from router.ports import MessageStage


def test_how_far_a_message_has_come_is_counted_as_the_carrier_tells_it() -> None:
    stages = list(MessageStage)
    assert [stages[DELIVERED - 1], stages[FAILED - 1]] == [MessageStage.delivered, MessageStage.failed]
