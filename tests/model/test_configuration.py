"""A configuration file: what is wrong in it is told with its line and field."""

import pytest

from router.model.configuration import WrongFile, line_of, read

HEAD = """[[campaigns]]
key = "luz"
name = "Luz"
caller_id = "+34910000000"
sender = "+34910000000"

  [campaigns.company]
  name = "Luz SL"
  address = "Calle Mayor 1"
  phone = "+34910000000"
  email = "hola@luz.example"

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
"""


@pytest.mark.parametrize(
    ("more", "line", "about"),
    [
        ("  hours = { mon = [['09:00', '25:00']] }", 16, "campaigns[0].queues[0].hours.mon"),
        ("  color = 'red'", 16, "unknown field `color`"),
        ("\n  [[campaigns.queues]]\n  key = 'b'\n  name = ''\n", 19, "campaigns[0].queues[1].name"),
        ("\n  [[campaigns.fields]]\n  key = 'x'\n  kind = 'colour'\n  labels = { es = 'X' }", 19, "kind"),
        ("\n  [[campaigns.fields]]\n  key = 'x'\n  labels = { xx = 'X' }", 19, "labels"),
        ("\n  [[campaigns.sites]]\n  key = 'a'\n  name = 'A'\n", 17, "queue"),
        ("\n[[campaigns]]\nkey = 'zwei'\n", 17, "name"),
        ("\n[[agents]]\nlogin = 'ana'\nname = 'Ana'\nlocale = 'de'\n", 20, "agents[0].locale"),
    ],
)
def test_a_wrong_field_is_told_with_its_line(more: str, line: int, about: str) -> None:
    with pytest.raises(WrongFile) as told:
        read(HEAD + more)
    assert str(told.value).startswith(f"line {line}: "), told.value
    assert about in str(told.value)


def test_what_is_no_toml_is_told_with_its_line() -> None:
    with pytest.raises(WrongFile, match="line 2"):
        read("[[campaigns]]\nkey = = 1\n")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "[[a]]\n[[a]]\n[[a.b]]\nx = 1\n"])
def test_a_line_is_found_in_any_text(text: str) -> None:
    assert line_of(text, ["a", 1, "b", 0, "x"]) == (4 if "x" in text else 1)
