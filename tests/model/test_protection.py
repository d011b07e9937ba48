"""What makes a request suspicious, and the sums asked for: values only."""

import hashlib
from datetime import timedelta

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from router.model.phone import REFUSED
from router.model.proofs import challenge, form_token, read_form_token, read_proof, solve, zero_bits
from router.model.protection import (
    Form,
    Kind,
    Why,
    bits_for,
    kind_of,
    network_of,
    prefix_of,
    refused_number,
    risk_of_form,
    risk_of_rates,
)
from router.model.rates import LENIENT, STRICT, Standing, retry_after
from router.model.vault import Vault
from tests.conftest import MONDAY_NOON

VAULT = Vault("a secret of at least thirty-two characters")
OTHER = Vault("another secret of at least thirty-two letters")
NOW = MONDAY_NOON


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("[::ffff:203.0.113.9]:4711", "203.0.113.0/24"),
        ("203.0.113.9:4711", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("unix", "unknown"),
        ("999.1.1.1", "unknown"),
        ("203.0.113.9, 10.0.0.1", "unknown"),
    ],
)
def test_neighbours_are_counted_together_however_the_address_is_written(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.text(max_size=80))
def test_no_address_breaks_the_counting(address: str) -> None:
    assert network_of(address)


def test_no_list_of_countries_allows_a_number_nobody_is_called_back_on() -> None:
    everywhere = frozenset(phonenumbers.SUPPORTED_REGIONS)
    let = []
    for region in sorted(everywhere):
        for kind in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            seen = kind_of(number)
            why = refused_number(seen, everywhere)
            assert (why is Why.number_type) == (seen.type in REFUSED), number
            if why is None:
                let.append(seen.type)
    assert len(let) > 500
    assert not set(let) & REFUSED
    for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS):
        example = phonenumbers.example_number_for_non_geo_entity(code)
        assert example is not None
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        assert refused_number(kind_of(number), everywhere) is Why.number_type, number


def test_only_numbers_of_the_campaigns_countries_are_called_not_all_of_a_shared_code() -> None:
    us = frozenset({"US"})
    assert refused_number(kind_of("+12025550142"), us) is None
    assert refused_number(kind_of("+14165550142"), us) is Why.country, "Canada"
    assert refused_number(kind_of("+18765550142"), us) is Why.country, "Jamaica"
    assert refused_number(kind_of("+34600000001"), us) is Why.country
    assert refused_number(kind_of("not a number"), us) is Why.number_type


def test_a_prefix_is_the_number_without_its_last_four_digits() -> None:
    assert prefix_of("+34600123456") == "+3460012"
    assert prefix_of("") == ""


def test_the_sum_grows_with_the_risk_up_to_a_bound() -> None:
    bits = [bits_for(risk, STRICT) for risk in range(12)]
    assert bits[: STRICT.free_risk + 1] == [0, 0, 0]
    assert bits == sorted(bits)
    assert bits[STRICT.free_risk + 1] == STRICT.first_bits
    assert max(bits) == STRICT.most_bits
    assert bits_for(99, LENIENT) == 0


def test_a_request_without_a_token_alone_is_free_and_with_anything_else_it_is_not() -> None:
    home = Kind("ES", PhoneNumberType.MOBILE)
    assert bits_for(risk_of_form(Form.missing, home), STRICT) == 0
    assert bits_for(risk_of_form(Form.missing, Kind("ES", PhoneNumberType.VOIP)), STRICT) > 0
    assert bits_for(risk_of_form(Form.forged, home), STRICT) > 0
    assert bits_for(risk_of_form(Form.missing, home) + risk_of_rates({"address": 0.6}, False), STRICT) > 0
    assert bits_for(risk_of_form(Form.good, home) + risk_of_rates({"address": 0.6}, False), STRICT) == 0
    assert bits_for(risk_of_form(Form.good, home) + risk_of_rates({}, True), STRICT) > 0


@pytest.mark.parametrize(
    ("age", "form"),
    [(-60.0, Form.forged), (-1.0, Form.too_young), (0.0, Form.too_young), (1.9, Form.too_young), (2.0, Form.good),
     (7_200.0, Form.good), (7_201.0, Form.too_old)],
)
def test_a_form_token_is_good_for_a_while(age: float, form: Form) -> None:
    token = form_token(VAULT, "landing", NOW)
    assert read_form_token(VAULT, "landing", token, NOW + timedelta(seconds=age), STRICT) is form


def test_a_form_token_of_another_site_or_house_is_forged() -> None:
    token, later = form_token(VAULT, "landing", NOW), NOW + timedelta(minutes=1)
    assert read_form_token(VAULT, "landing", "", later, STRICT) is Form.missing
    assert read_form_token(VAULT, "other", token, later, STRICT) is Form.forged
    assert read_form_token(OTHER, "landing", token, later, STRICT) is Form.forged
    assert read_form_token(VAULT, "landing", token.replace("1.1", "1.2", 1), later, STRICT) is Form.forged


@given(st.text(max_size=200))
def test_what_is_no_token_and_no_proof_is_neither(text: str) -> None:
    if text:
        assert read_form_token(VAULT, "landing", text, NOW, STRICT) is Form.forged
    assert read_proof(VAULT, "landing", text, NOW) is None


def test_a_proof_is_the_challenge_with_a_counter_whose_hash_begins_with_zeros() -> None:
    asked = challenge(VAULT, "landing", NOW, bits=8, life=600)
    proof = solve(asked, 8)
    assert proof.startswith(asked + ":")
    assert hashlib.sha256(proof.encode()).digest()[0] == 0
    proven = read_proof(VAULT, "landing", proof, NOW)
    assert proven is not None
    assert (proven.bits, proven.seconds) == (8, 600)
    assert proven.nonce in asked


def test_a_proof_is_worth_nothing_elsewhere_later_or_with_easier_terms() -> None:
    asked = challenge(VAULT, "landing", NOW, bits=8, life=600)
    proof = solve(asked, 8)
    assert read_proof(VAULT, "other", proof, NOW) is None
    assert read_proof(OTHER, "landing", proof, NOW) is None
    assert read_proof(VAULT, "landing", proof, NOW + timedelta(seconds=600)) is None
    easier = asked.replace(".8.", ".0.", 1)
    assert read_proof(VAULT, "landing", f"{easier}:0", NOW) is None
    unsolved = next(
        f"{asked}:{counter}" for counter in range(1000)
        if zero_bits(hashlib.sha256(f"{asked}:{counter}".encode()).digest()) < 8
    )
    assert read_proof(VAULT, "landing", unsolved, NOW) is None
    assert read_proof(VAULT, "landing", f"{asked}:0{proof.rpartition(':')[2]}", NOW) is None


def test_zero_bits_are_counted_from_the_first_bytes_highest_bit() -> None:
    assert zero_bits(b"\x00" * 32) == 256
    assert zero_bits(b"\x80" + b"\x00" * 31) == 0
    assert zero_bits(b"\x00\x01" + b"\xff" * 30) == 15


@pytest.mark.parametrize(("left", "told"), [(1, 60), (60, 60), (61, 120), (3_599, 3_600), (-5, 60)])
def test_when_to_come_again_is_told_in_full_minutes(left: int, told: int) -> None:
    assert retry_after(Standing(5, NOW + timedelta(seconds=left)), NOW) == told
