"""The units of numbers in answers: what each measures, and its size."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import NamedTuple

# what is measured -> names of a unit, and its size; "" and "%" are factors
_SIZES = {
    "": {
        "dozen": "12",
        "hundred|百": "100",
        "k|thousand|千": "1e3",
        "万|萬": "1e4",
        "lakh": "1e5",
        "M|mn|million": "1e6",
        "crore": "1e7",
        "億|亿": "1e8",
        "B|bn|billion": "1e9",
        "tn|trillion": "1e12",
    },
    "%": {"%|percent": "0.01", "‰": "0.001"},
    "m": {
        "in|inch|inches": "0.0254",
        "ft|foot|feet": "0.3048",
        "yard": "0.9144",
        "mi|mile": "1609.344",
        "公里": "1e3",
    },
    "g": {"公斤|kilo": "1e3", "tonne": "1e6", "mcg": "1e-6"},
    "s": {"min|minute": "60", "h|hr|hour": "3600", "day": "86400", "week": "604800"},
    "month": {"month": "1", "year|yr": "12"},
    "m/s": {"mph": "0.44704", "kph|kmh": "5/18"},
    "m2": {"acre": "4046.8564224", "ha|hectare": "1e4"},
    "l": {"gal|gallon": "3.785411784", "quart": "0.946352946", "pint": "0.473176473"},
    "B": {"bit": "1/8", "Kb|kbit": "125", "Mb|Mbit": "125e3", "Gb|Gbit": "125e6"},
    "$": {"$|USD|dollar": "1", "cent": "0.01"},
    "£": {"£|GBP|pound|lb": "1", "ounce|oz": "0.0625", "pence": "0.01"},  # pounds of either kind
}
# names of other units, each of its own kind
_KINDS = [
    "°C|Celsius",
    "°F|Fahrenheit",
    "€|EUR|euro",
    "¥|JPY|yen|円",
    "₹|INR|Rs|rupee",
    "yuan|元",
    "ruble|rouble",
    "peso",
    "franc",
    "AD|CE",
    "BC|BCE",
    "am",
    "pm",
]
# units that have prefixes
_METRIC = [
    "s|sec|second",
    "m|meter|metre|м",
    "g|gm|gram|г",
    "l|L|liter|litre",
    "B|byte",
    "W|watt",
    "Wh|watt-hour",
    "J|joule",
    "Pa|pascal",
    "N|newton",
    "V|volt",
    "Hz|hertz",
    "Ω|ohm",
    "bar",
    "cal|calorie",
]
_PREFIXES = {
    "": "1",
    "k|kilo|к": "1e3",
    "c|centi|с": "1e-2",
    "m|milli|м": "1e-3",
    "μ|micro": "1e-6",
    "M|mega": "1e6",
    "G|giga": "1e9",
}
# "in" is a unit at the end of a text alone
_WORD = re.compile(
    r"\s*(?!in\b(?!\W*\Z))(?P<name>[%‰$€£¥₹百千万萬億亿]|°?[^\W\d_]+(?:-[^\W\d_]+)?)(?P<power>[23])?"
    r"(?:(?!\w)|(?<=[百千万萬億亿]))"
)
_PER = re.compile(r"\s*(?:/|per\b)\s*(?P<name>[^\W\d_]+)")


class Unit(NamedTuple):
    """A unit, and the factor before it: % is 1/100, a million km are a million times 1000 metres.

    Attributes:
        kind: a short name of what it measures; "" if there is no unit.
        size: its size among those of its kind.
        factor: how many of it are counted as one.
    """

    kind: str = ""
    size: Fraction = Fraction(1)
    factor: Fraction = Fraction(1)


def _by_name() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for kind, sizes in _SIZES.items():
        for unit_names, size in sizes.items():
            unit = Unit(kind, Fraction(size))
            if kind in ("", "%"):
                unit = Unit(kind, factor=unit.size)
            units |= dict.fromkeys(unit_names.split("|"), unit)
    # the metric ones after bits: "gb" are bytes
    for all_names, prefixes in ((_KINDS, {"": "1"}), (_METRIC, _PREFIXES)):
        for names, (prefix, size) in product(all_names, prefixes.items()):
            pairs = product(prefix.split("|"), names.split("|"))
            unit = Unit(names.partition("|")[0], Fraction(size))
            units |= dict.fromkeys(map("".join, pairs), unit)
    units |= {f"{name}s": unit for name, unit in units.items() if name[1:]}
    return {name.casefold(): unit for name, unit in units.items() if name[1:]} | units


UNITS = _by_name()


def find_unit(name: str) -> Unit | None:
    """The unit of this name; three other capitals are a currency.

    Example:
        >>> find_unit("km"), find_unit("KMs") == find_unit("km"), find_unit("apples")
        (Unit(kind='m', size=Fraction(1000, 1), factor=Fraction(1, 1)), True, None)
    """
    unit = UNITS.get(name) or UNITS.get(name.casefold())
    if unit is None and re.fullmatch("[A-Z]{3}", name):
        return Unit(name)
    return unit


def unit_after(text: str, start: int, currency: str | None) -> tuple[Unit, int]:
    """The unit that stands in a text from `start` on, with its factor, and where it ends.

    Args:
        text: a text.
        start: the end of a number in it.
        currency: what stands before the number, such as $ or EUR.

    Example:
        >>> unit_after("5 million km/h", 1, None)
        (Unit(kind='m/s', size=Fraction(5, 18), factor=Fraction(1000000, 1)), 14)
    """
    unit = UNITS.get((currency or "").strip(" .").casefold(), Unit())
    end = start
    while word := _WORD.match(text, end):
        name = word["name"]
        if currency and not name[1:]:  # $5m is not in metres
            name = name.upper()
        found = find_unit(name)
        if found is None or (found.kind and unit.kind):
            break
        power = word["power"] or ""
        size = unit.size * found.size ** int(power or 1)
        unit = Unit(unit.kind + found.kind + power, size, unit.factor * found.factor)
        end = word.end()
    per = _PER.match(text, end)
    time = per and find_unit(per["name"])
    if unit.kind and per and time:
        end = per.end()
        if unit.kind.isalpha():  # not of money: $5 may be per hour
            unit = Unit(f"{unit.kind}/{time.kind}", unit.size / time.size, unit.factor)
    return unit, end
