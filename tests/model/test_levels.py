"""Skills with levels, spelled out so that "contains" compares them."""

from hypothesis import given
from hypothesis import strategies as st

from router.model.levels import HIGHEST, asked, levels_of, owned
from router.model.routing import skilled

LEVELS = st.dictionaries(st.sampled_from(["it", "es", "solar", "it-it"]), st.integers(1, HIGHEST))


@given(LEVELS, LEVELS)
def test_containing_is_being_skilled_enough(skills: dict[str, int], needs: dict[str, int]) -> None:
    assert (set(owned(skills)) >= set(asked(needs))) is skilled(skills, needs)


@given(LEVELS)
def test_what_is_spelled_out_is_read_back(levels: dict[str, int]) -> None:
    assert levels_of(owned(levels)) == levels_of(asked(levels)) == levels


def test_names_alone_are_of_level_one() -> None:
    assert owned(["es", "it"]) == asked(["it", "es"]) == ["es", "it"]
    assert (owned({"it": 3}), asked({"it": 3})) == (["it", "it:2", "it:3"], ["it:3"])
