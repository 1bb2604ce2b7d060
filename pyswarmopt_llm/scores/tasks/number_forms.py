"""How models write numbers: tables of forms, factors and units, and a reader that goes by them.

A number is read in pieces, in this order: what may not stand before it, a sign, a currency, a ratio
or one of `FORMS` with its exponent, a factor, a unit. Each piece has a pattern of its own, and the
next piece begins where the last one ended (`number_at`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple


class NumberForm(NamedTuple):
    """A way to write digits.

    Attributes:
        name: its name.
        example: a number in this form.
        pattern: verbose regular expression.
        decimal: the decimal sign; other signs between digits only group them.
    """

    name: str
    example: str
    pattern: str
    decimal: str = "."


# The first form that fits is the number's. A comma and a point are ambiguous: the rows with a decimal
# comma come first, and fit only what cannot be groups of thousands.
FORMS = (
    NumberForm("grouped_comma", "1.234,50", r"[0-9]{1,3}(?:[ '.][0-9]{3})+,[0-9]+", ","),
    NumberForm("points", "1.234.567", r"[0-9]{1,3}(?:\.[0-9]{3}){2,}", ","),
    NumberForm("point_of_euros", "1.500 Euro", r"[0-9]{1,3}\.[0-9]{3}(?=\s?(?:€|Euros?\b))", ","),
    NumberForm(
        "comma",
        "3,5",
        r"""(?![1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9,]))  # not 1,234
        (?<![,(\[])[0-9]+,[0-9]+(?![0-9]|,\s?[0-9])                  # not a list""",
        ",",
    ),
    NumberForm("spaces", "10 000", r"[0-9]{1,3}(?:[ '][0-9]{3})+(?![0-9])(?:\.[0-9]+)?"),
    NumberForm(
        "commas", "1,234.50", r"(?!0,)[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9,])(?:\.[0-9]+)?"
    ),
    NumberForm("plain", "2.5", r"(?![12][0-9]{2}0s\b)[0-9]++(?:\.[0-9]++)?+"),  # not 1990s
    NumberForm("fraction_only", ".5", r"\.[0-9]++"),
)

FACTORS = {
    "%": "0.01",
    "dozen": "12",
    "hundred": "100",
    "k": "1e3",
    "thousand": "1e3",
    "m": "1e6",
    "million": "1e6",
    "b": "1e9",
    "billion": "1e9",
    "trillion": "1e12",
}
# Units as words, without the plural's ending.
UNIT_WORDS = {
    "currencies": ("yen", "pound", "rupee", "yuan", "ro?uble", "peso", "franc", "cent", "pence"),
    "data": ("bit", "byte"),
    "physics": ("watt", "joule", "pascal", "newton", "volt", "hertz", "ohm", "calorie"),
    "times": ("day", "week", "month", "year"),
    "halves of the day": (r"[ap]\.?m",),
    "lengths": ("foot", "feet", "inch", "yard", "mile"),
    "areas and volumes": (
        "acre", "hectare", "gallon", "quart", "pint", "square", "cubic",
    ),
    "masses": ("ounce", "tonne", "lb"),
}  # fmt: skip
_PREFIXES = "[kcmμnMG]?"
# Symbols, in their case: those that take a prefix, and whole ones; either may be squared or cubed.
PREFIXED = (
    "m", "g", "l", "L", "s", "t", "Wh?", "J", "Pa", "N", "V", "Hz", "B", "b", "bit", "Ω", "bar", "cal",
)  # fmt: skip
SYMBOLS = (
    "mcg", "к?[мг]", "公里", "公斤", "min", "h", "yr", "ft", "mi", "oz", "ha", "gal", "mph", "kph", "kmh",
    r"in(?=\W*\Z)",
)  # fmt: skip


class Number(NamedTuple):
    """A number in a text.

    Attributes:
        start, end: its place in the text, with sign, currency, factor and unit.
        value: without its factor; None for a division by 0.
        form: name of its row in `FORMS`; ``ratio`` for 2 1/2.
        currency: the currency before it.
        factor: as in `FACTORS`, in lower case.
        unit: the unit after it.
    """

    start: int
    end: int
    value: Fraction | None
    form: str
    currency: str = ""
    factor: str = ""
    unit: str = ""


def _any(patterns: tuple[str, ...]) -> str:
    """A pattern that fits what any of these fits."""
    return f"(?:{'|'.join(patterns)})"


def _piece(pattern: str) -> re.Pattern[str]:
    """The pattern of a piece, in verbose form and without regard to case."""
    return re.compile(pattern, re.VERBOSE | re.IGNORECASE)


_CURRENCY_SIGNS = "[$€£¥₹]"
_CURRENCY_CODES = "USD|EUR|GBP|JPY|INR|Rs"
# Letters before a number make it a name (H2O), signs an exponent or a root, a colon a time.
_BEFORE = _piece(r"(?<![^\W_\u2e80-\U0003ffff])(?<![√^±<≤≥$€£¥₹])(?<![0-9]:)")
_SIGN = _piece(r"-|(?<![0-9][ ])(?:minus|negative)\s+")
_CURRENCY = _piece(rf"(?P<name>{_CURRENCY_SIGNS}|(?:{_CURRENCY_CODES})\b\.?)\s?(?P<minus>-)?")
# 2 1/2; not a date, nor 1/2/3
_RATIO = _piece(
    r"""(?:(?P<whole>[0-9]{1,6})[ ])?(?<!/)(?P<top>[0-9]{1,40})\s?/\s?(?P<bottom>[0-9]{1,40})
    (?![0-9]|\s?/\s?[0-9]|[.,][0-9])"""
)
_DIGITS = {form: _piece(form.pattern) for form in FORMS}
_EXPONENT = _piece(  # 1e3, 2 × 10^6
    r"(?:e|\s?[×x*]\s?10(?:\^|\*\*)\{?(?=-?[0-9]))(?P<ten>[+-]?[0-9]{1,3})(?![0-9])\}?"
)
_POWER = _piece(r"(?:\^|\*\*)\{?(?P<power>-?[0-9]{1,3})\}?")  # 10^6
_ENDLESS = _piece(r"e[+-]?[0-9]")  # an exponent of too many digits
_WORD_ENDS = r"(?![^\W\d_])"
_FACTOR_WORDS = _any(tuple(name for name in FACTORS if len(name) > 1))
# After a currency a letter is a factor in either case; alone, "5 m" is metres.
_FACTOR = _piece(rf"\s?(?P<name>%|(?:{_FACTOR_WORDS}|(?-i:[kKM])){_WORD_ENDS})")
_FACTOR_OF_MONEY = _piece(rf"\s?(?P<name>%|(?:{_FACTOR_WORDS}|[kmb]){_WORD_ENDS})")


def _unit() -> re.Pattern[str]:
    """The pattern of a unit: a currency, a word, or a symbol; optionally per something."""
    currency = r"[$€£¥₹元円](?!\s?-?\.?[0-9])"  # not that of a next number
    words = _any(tuple(word for kind in UNIT_WORDS.values() for word in kind))
    in_full = rf"{words}(?=e?s?{_WORD_ENDS})"
    measures = _any((_PREFIXES + _any(PREFIXED), *SYMBOLS)) + "[23]?"
    symbols = rf"(?-i:{_any(('°[CF]?', '[A-Z]{2,3}', measures))}){_WORD_ENDS}"
    each = r"(?:/[^\W\d_]+)?"
    return _piece(rf"\s?(?P<name>{currency}|{_any((in_full, symbols))}{each})")


_UNIT = _unit()
# what any number begins with, so that other places need not be tried
_BEGINS = _piece(rf"[-.0-9]|{_CURRENCY_SIGNS}|minus|negative|{_CURRENCY_CODES}")


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a text, in order.

    Example:
        >>> [str(number.value) for number in numbers("12 boxes of 2.5 kg")]
        ['12', '5/2']
    """
    end = 0
    for begins in _BEGINS.finditer(text):
        if begins.start() < end:
            continue
        number = number_at(text, begins.start())
        if number is not None:
            end = number.end
            yield number


def number_at(text: str, start: int = 0) -> Number | None:
    """The number that begins at a place of a text.

    Example:
        >>> number = number_at("about -1.234,50 €", 6)
        >>> str(number.value), number.form, number.unit
        ('-2469/2', 'grouped_comma', '€')
    """
    if not _BEFORE.match(text, start):
        return None
    sign = _SIGN.match(text, start)
    at = _end(sign, start)
    currency = _CURRENCY.match(text, at)
    digits = _ratio(text, _end(currency, at)) or _decimal(text, _end(currency, at))
    if digits is None:
        return None
    value = digits.value
    if value is not None and (sign or (currency and currency["minus"])):
        value = -value
    factor = _FACTOR.match(text, digits.end)
    if currency:
        factor = _FACTOR_OF_MONEY.match(text, digits.end)
    at = _end(factor, digits.end)
    unit = _UNIT.match(text, at)
    return Number(
        start,
        _end(unit, at),
        value,
        digits.form,
        _name(currency),
        _name(factor).casefold(),
        _name(unit),
    )


def _ratio(text: str, start: int) -> Number | None:
    """A ratio of two whole numbers, such as 1/2 and 2 1/2."""
    match = _RATIO.match(text, start)
    if match is None:
        return None
    value = None
    if int(match["bottom"]):
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), int(match["bottom"]))
    return Number(start, match.end(), value, "ratio")


def _decimal(text: str, start: int) -> Number | None:
    """Digits in the first of `FORMS` that fits, with their exponent."""
    for form, pattern in _DIGITS.items():
        digits = pattern.match(text, start)
        if digits is None:
            continue
        value = Fraction(_with_point(digits[0], form))
        end = digits.end()
        exponent = _EXPONENT.match(text, end)
        power = _POWER.match(text, end)
        if exponent:
            scaled = value * Fraction(10) ** int(exponent["ten"])
            return Number(start, exponent.end(), scaled, form.name)
        if power:
            return Number(start, power.end(), _raised(value, int(power["power"])), form.name)
        if not _ENDLESS.match(text, end):
            return Number(start, end, value, form.name)
    return None


def _with_point(digits: str, form: NumberForm) -> str:
    """Digits with a decimal point and without groups."""
    grouping = "[ ',.]".replace(form.decimal, "")
    return re.sub(grouping, "", digits).replace(form.decimal, ".")


def _raised(value: Fraction, power: int) -> Fraction | None:
    """A power; None for a division by 0."""
    if not value and power < 0:
        return None
    return Fraction(value**power)


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    """Where a piece ends; where it would begin if it is missing."""
    if match is None:
        return otherwise
    return match.end()


def _name(match: re.Match[str] | None) -> str:
    """The name in a piece; empty if it is missing."""
    if match is None:
        return ""
    return match["name"]
