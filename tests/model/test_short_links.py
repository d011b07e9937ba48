"""Codes that are printed on paper and typed by people."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from router.model.short_links import ALPHABET, CODE_LENGTH, ShortLink, new_short_code, read_short_code, shown_code

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
codes = st.builds(lambda _: new_short_code(), st.integers())


def link(**values: object) -> ShortLink:
    return ShortLink(**{
        "campaign_id": 1, "site_id": 1, "piece": "bus-stop", "name": "Bus stop", "target": "form", "code": "0" * 9,
        "created_at": NOW, **values,
    })  # type: ignore[arg-type]


@given(codes)
def test_a_code_is_nine_letters_and_digits_that_cannot_be_mixed_up(code: str) -> None:
    assert len(code) == CODE_LENGTH
    assert set(code) <= set(ALPHABET)
    assert read_short_code(code) == code


@given(codes)
def test_a_code_is_read_however_a_person_copies_it(code: str) -> None:
    assert read_short_code(shown_code(code)) == code
    assert read_short_code(code.lower().replace("1", "l").replace("0", "o")) == code
    assert read_short_code(" ".join(code).upper()) == code


@given(codes, st.integers(0, CODE_LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_always_noticed(code: str, place: int, letter: str) -> None:
    slipped = code[:place] + letter + code[place + 1 :]
    assert read_short_code(slipped) == (code if slipped == code else None)


@given(codes, st.integers(0, CODE_LENGTH - 3))
def test_two_neighbours_exchanged_are_always_noticed(code: str, place: int) -> None:
    exchanged = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert read_short_code(exchanged) == (code if exchanged == code else None)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_code_or_none(text: str) -> None:
    code = read_short_code(text)
    assert code is None or set(code) <= set(ALPHABET)


def test_a_link_works_until_its_last_moment_and_only_while_it_is_on() -> None:
    assert link().open_at(NOW)
    assert link(expires_at=NOW + timedelta(seconds=1)).open_at(NOW)
    assert not link(expires_at=NOW).open_at(NOW)
    assert not link(active=False).open_at(NOW)
    assert link().source == "offline:bus-stop"
