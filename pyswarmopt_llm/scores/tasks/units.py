"""The units of numbers in answers: what each measures, and its size."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

# what is measured -> names of its units, with their sizes; "" and "%" are factors
_SIZES = {
    "": "dozen=12 k=1e3 thousand=1e3 lakh=1e5 M=1e6 mn=1e6 million=1e6 crore=1e7 B=1e9 bn=1e9 billion=1e9"
    " tn=1e12 trillion=1e12",
    "%": "%=1/100 percent=1/100 ‰=1/1000",
    "metre": "in=0.0254 inch=0.0254 inches=0.0254 foot=0.3048 feet=0.3048 ft=0.3048 yard=0.9144 mi=1609.344"
    " mile=1609.344",
    "gram": "gm=1 tonne=1e6 mcg=1e-6",
    "second": "sec=1 min=60 minute=60 h=3600 hr=3600 hour=3600 day=86400 week=604800",
    "month": "month=1 year=12 yr=12 decade=120",
    "metre/second": "mph=0.44704 kph=5/18 kmh=5/18",
    "°C": "°c=1 °celsius=1 celsius=1",
    "°F": "°f=1 °fahrenheit=1 fahrenheit=1",
    "$": "$=1 usd=1 dollar=1 cent=1/100",
    "€": "€=1 eur=1 euro=1",
    "£": "£=1 gbp=1 lb=1 pound=1 pence=1/100",  # pounds of either kind
    "¥": "¥=1 jpy=1 yen=1 円=1",
    "₹": "₹=1 inr=1 rs=1 rupee=1",
    "yuan": "yuan=1 元=1",
    "ruble": "ruble=1 rouble=1",
    "peso": "peso=1",
    "franc": "franc=1",
    "byte": "kB=1e3 KB=1e3 MB=1e6 GB=1e9 TB=1e12",
    "am": "am=1",
    "pm": "pm=1",
    "AD": "ad=1 ce=1",
    "BC": "bc=1 bce=1",
}
# names -> what they measure, with any prefix
_METRIC = (
    "m=metre meter=metre metre=metre м=metre g=gram gram=gram г=gram l=litre L=litre liter=litre litre=litre"
    " s=second second=second byte=byte W=watt watt=watt Wh=watt-hour watt-hour=watt-hour J=joule joule=joule"
    " N=newton newton=newton V=volt volt=volt A=ampere Hz=hertz hertz=hertz Ω=ohm ohm=ohm bar=bar"
    " cal=calorie calorie=calorie mol=mole"
)
_PREFIXES = (
    "=1 k=1e3 kilo=1e3 к=1e3 M=1e6 mega=1e6 G=1e9 giga=1e9 c=1e-2 centi=1e-2 с=1e-2 m=1e-3 milli=1e-3"
    " м=1e-3 μ=1e-6 micro=1e-6"
)
# "in" is a unit at the end of a text alone
_WORD = re.compile(
    r"\s*(?!in\b(?!\W*\Z))(?P<name>[%‰$€£¥₹]|°?[^\W\d_]+(?:-[^\W\d_]+)?)(?P<power>[23])?(?!\w)"
)
_PER = re.compile(r"\s*(?:/|per\b)\s*(?P<name>[^\W\d_]+)")


class Unit(NamedTuple):
    """A unit, and the factor before it: % is 1/100, a million km are a million times 1000 metres.

    Attributes:
        kind: what it measures; "" if there is no unit.
        size: its size among those of its kind.
        factor: how many of it are counted as one.
    """

    kind: str = ""
    size: Fraction = Fraction(1)
    factor: Fraction = Fraction(1)


def _by_name() -> dict[str, Unit]:
    units = {}
    for kind, sizes in _SIZES.items():
        for name, size in _pairs(sizes):
            if kind in ("", "%"):
                units[name] = Unit(kind, factor=Fraction(size))
            else:
                units[name] = Unit(kind, Fraction(size))
    for name, kind in _pairs(_METRIC):
        for prefix, size in _pairs(_PREFIXES):
            units[prefix + name] = Unit(kind, Fraction(size))
    units |= {f"{name}s": unit for name, unit in units.items() if name[1:]}
    return {name.casefold(): unit for name, unit in units.items() if name[1:]} | units


def _pairs(table: str) -> list[list[str]]:
    return [entry.split("=") for entry in table.split()]


UNITS = _by_name()


def find_unit(name: str) -> Unit | None:
    """The unit of this name.

    Example:
        >>> find_unit("km"), find_unit("KMs") == find_unit("km"), find_unit("apples")
        (Unit(kind='metre', size=Fraction(1000, 1), factor=Fraction(1, 1)), True, None)
    """
    return UNITS.get(name) or UNITS.get(name.casefold())


def unit_after(text: str, start: int, currency: str | None) -> tuple[Unit, int]:
    """The unit that stands in a text from `start` on, with its factor, and where it ends.

    Args:
        text: a text.
        start: the end of a number in it.
        currency: what stands before the number, such as $ or EUR.

    Example:
        >>> unit_after("5 million km/h", 1, None)
        (Unit(kind='metre/second', size=Fraction(5, 18), factor=Fraction(1000000, 1)), 14)
    """
    if currency:
        unit = UNITS[currency.strip(" .").casefold()]
    else:
        unit = Unit()
    end = start
    while word := _WORD.match(text, end):
        name = word["name"]
        millions = currency and not name[1:]  # $5m is not in metres
        found = find_unit(name.upper() if millions else name)
        if found is None or (found.kind and unit.kind):
            break
        power = word["power"] or ""
        size = unit.size * found.size ** int(power or 1)
        unit = Unit(unit.kind + found.kind + power, size, unit.factor * found.factor)
        end = word.end()
    per = _PER.match(text, end) if unit.kind else None
    time = find_unit(per["name"]) if per else None
    if per and time:
        end = per.end()
        if unit.kind.isalpha():  # not of money: $5 may be per hour
            unit = Unit(f"{unit.kind}/{time.kind}", unit.size / time.size, unit.factor)
    return unit, end
