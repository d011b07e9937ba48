"""Places: in which part of its country an address lies, whose public holidays are kept there."""

import re

from router.model.windows import known_zones

_SPAIN = {
    "01": "ES-VI", "02": "ES-AB", "03": "ES-A", "04": "ES-AL", "05": "ES-AV", "06": "ES-BA", "07": "ES-PM",
    "08": "ES-B", "09": "ES-BU", "10": "ES-CC", "11": "ES-CA", "12": "ES-CS", "13": "ES-CR", "14": "ES-CO",
    "15": "ES-C", "16": "ES-CU", "17": "ES-GI", "18": "ES-GR", "19": "ES-GU", "20": "ES-SS", "21": "ES-H",
    "22": "ES-HU", "23": "ES-J", "24": "ES-LE", "25": "ES-L", "26": "ES-LO", "27": "ES-LU", "28": "ES-M",
    "29": "ES-MA", "30": "ES-MU", "31": "ES-NA", "32": "ES-OR", "33": "ES-O", "34": "ES-P", "35": "ES-GC",
    "36": "ES-PO", "37": "ES-SA", "38": "ES-TF", "39": "ES-S", "40": "ES-SG", "41": "ES-SE", "42": "ES-SO",
    "43": "ES-T", "44": "ES-TE", "45": "ES-TO", "46": "ES-V", "47": "ES-VA", "48": "ES-BI", "49": "ES-ZA",
    "50": "ES-Z", "51": "ES-CE", "52": "ES-ML",
}
"""The provinces of Spain by the first two digits of their postcodes."""
_COMMUNITIES = {
    "ES-AN": "AL CA CO GR H J MA SE", "ES-AR": "HU TE Z", "ES-AS": "O", "ES-CN": "GC TF", "ES-CB": "S",
    "ES-CM": "AB CR CU GU TO", "ES-CL": "AV BU LE P SA SG SO VA ZA", "ES-CT": "B GI L T", "ES-EX": "BA CC",
    "ES-GA": "C LU OR PO", "ES-IB": "PM", "ES-RI": "LO", "ES-MD": "M", "ES-MC": "MU", "ES-NC": "NA",
    "ES-PV": "VI SS BI", "ES-VC": "A CS V", "ES-CE": "CE", "ES-ML": "ML",
}
_COMMUNITY_OF = {f"ES-{province}": community for community, of in _COMMUNITIES.items() for province in of.split()}



def inhabited(zone: str) -> bool:
    """Whether it is a zone (IANA) of a place on earth: "UTC" and "Etc/GMT+1" are clocks in which nobody lives."""
    return "/" in zone and not zone.startswith("Etc/") and bool(known_zones((zone,)))


def part_of(country: str, postcode: str) -> str:
    """The subdivision (ISO 3166-2) of a postcode, "" for what it does not tell. Spain's holidays go by its autonomous
    communities."""
    if country == "ES" and re.fullmatch(r"[0-9]{5}", postcode):
        return _COMMUNITY_OF.get(_SPAIN.get(postcode[:2], ""), "")
    return ""
