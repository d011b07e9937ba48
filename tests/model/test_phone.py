"""Telephone numbers: which are called back, and how they are kept."""

from contextlib import suppress

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from router.model.errors import Invalid
from router.model.phone import REFUSED, Number, e164, international, look_up, masked


@pytest.mark.parametrize("written", ["600 000 001", "+34 600-000-001", "0034600000001", "(600) 000001", "٦٠٠٠٠٠٠٠١"])
def test_a_number_is_read_as_people_write_it(written: str) -> None:
    assert e164(written, "ES") == "+34600000001"


@pytest.mark.parametrize(
    "written",
    ["", "1", "hola", "600000001 ext. 5", "+999123456789", "+34 600 000", "9" * 41, "+34", "\x00", "tel:", "😀" * 9],
)
def test_what_is_no_number_is_refused_by_name(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        e164(written, "ES")
    assert refused.value.pointer == "/phone"


@pytest.mark.parametrize(
    "written",
    [
        "+34 803 123 456",
        "+44 909 879 0000",
        "+881 612 345 678",
        "+870 773 111 632",
        "+979 123 456 789",
        "+44 70 1234 5678",
        "+34 901 123 456",
        "+800 1234 5678",
    ],
)
def test_numbers_that_cost_or_belong_to_no_country_are_refused(written: str) -> None:
    with pytest.raises(Invalid):
        e164(written, "ES")


@given(
    code=st.sampled_from(sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)),
    national=st.text("0123456789", min_size=0, max_size=13),
)
@settings(max_examples=2_000, deadline=None)
def test_a_number_in_e164_is_read_as_the_library_reads_it(code: int, national: str) -> None:
    _agrees_with_the_library(f"+{code}{national}")


def _agrees_with_the_library(written: str) -> None:
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        assert look_up(written) is None
        return
    region = phonenumbers.region_code_for_number(number) or ""
    assert look_up(written) == Number(
        "" if region == "001" else region, phonenumbers.number_type(number),
        phonenumbers.format_number(number, PhoneNumberFormat.E164),
    )


def test_every_kind_of_number_in_the_world_and_those_beside_it_are_read_as_the_library_reads_them() -> None:
    examples = {
        phonenumbers.format_number(example, PhoneNumberFormat.E164)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in PhoneNumberType.values()
        if (example := phonenumbers.example_number_for_type(region, kind)) is not None
    } | {
        phonenumbers.format_number(example, PhoneNumberFormat.E164)
        for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS
        if (example := phonenumbers.example_number_for_non_geo_entity(code)) is not None
    }
    assert len(examples) > 1_000
    for written in examples:
        others = [f"{written[:-4]}{n:04d}" for n in range(0, 10_000, 1_111)]
        for beside in (written, written + "0", written[:-1], *others):
            _agrees_with_the_library(beside)


def test_of_all_example_numbers_in_the_world_only_ordinary_ones_pass() -> None:
    for region in phonenumbers.SUPPORTED_REGIONS:
        for kind in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            written = phonenumbers.format_number(example, PhoneNumberFormat.E164)
            if phonenumbers.number_type(example) in REFUSED:
                with pytest.raises(Invalid):
                    e164(written, "ES")
            else:
                assert e164(written, "ES") == written


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_number_or_refused(written: str) -> None:
    with suppress(Invalid):
        assert e164(written, "ES").startswith("+")


def test_a_masked_number_shows_its_last_three_digits_only() -> None:
    assert masked("+34600000001") == "+34•••001"
    assert international("+34910000000").startswith("+34 910")
    assert international("client:ana") == "client:ana"
