"""How models write numbers: a table of forms, one of factors and one of units.

A number is read in pieces, in this order: what may not stand before it, a sign, a currency, one of
`FORMS`, a factor, a unit. `NUMBER` finds the next one; `value_of` is its value.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple


class NumberForm(NamedTuple):
    """A way to write digits.

    Attributes:
        name: name of its group in `NUMBER`.
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
# 2 1/2; not a date, nor 1/2/3
_RATIO = r"""(?:(?P<whole>[0-9]{1,6})[ ])?(?<!/)(?P<top>[0-9]{1,40})\s?/\s?(?P<bottom>[0-9]{1,40})
    (?![0-9]|\s?/\s?[0-9]|[.,][0-9])"""
# 1e3, 2 × 10^6, 10^6
_EXPONENT = r"""(?:e(?P<exponent>[+-]?[0-9]{1,3})(?![0-9])
    |\s?[×x*]\s?10(?:\^|\*\*)\{?(?P<ten>-?[0-9]{1,3})\}?
    |(?:\^|\*\*)\{?(?P<power>-?[0-9]{1,3})\}?
    |(?!e[+-]?[0-9]))"""

# Letters before a number make it a name (H2O), signs an exponent or a root, a colon a time.
_BEFORE = r"(?<![^\W_\u2e80-\U0003ffff])(?<![√^±<≤≥$€£¥₹])(?<![0-9]:)"
_SIGN = r"(?P<sign>-|(?<![0-9][ ])(?:minus|negative)\s+)?"
_MONEY = r"(?:(?P<money>[$€£¥₹]|(?:USD|EUR|GBP|JPY|INR|Rs)\b\.?)\s?(?P<minus>-)?)?"
_WORD_ENDS = r"(?![^\W\d_])"

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
# After a currency a letter is a factor in either case; alone, "5 m" is metres.
_LETTERS = r"(?(money)[kmb]|(?-i:[kKM]))"

# Units as words, without the plural's ending.
UNIT_WORDS = {
    "currencies": ("yen", "pound", "rupee", "yuan", "ro?uble", "peso", "franc", "cent", "pence"),
    "data": ("bit", "byte"),
    "physics": ("watt", "joule", "pascal", "newton", "volt", "hertz", "ohm", "calorie"),
    "times": ("day", "week", "month", "year", r"[ap]\.?m"),
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
_CURRENCY_AFTER = r"[$€£¥₹元円](?!\s?-?\.?[0-9])"  # not that of a next number


def _any(patterns: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _factor() -> str:
    words = tuple(name for name in FACTORS if len(name) > 1)
    return rf"(?:\s?(?P<factor>%|{_any((*words, _LETTERS))}{_WORD_ENDS}))?"


def _unit() -> str:
    words = tuple(word for kind in UNIT_WORDS.values() for word in kind)
    in_full = rf"{_any(words)}(?=e?s?{_WORD_ENDS})"
    measures = _any((_PREFIXES + _any(PREFIXED), *SYMBOLS)) + "[23]?"
    symbols = rf"(?-i:{_any(('°[CF]?', '[A-Z]{2,3}', measures))}){_WORD_ENDS}"
    each = r"(?:/[^\W\d_]+)?"
    return rf"(?:\s?(?P<unit>{_CURRENCY_AFTER}|{_any((in_full, symbols))}{each}))?"


_DIGITS = _any(tuple(f"(?P<{form.name}>{form.pattern}\n)" for form in FORMS))
PATTERN = f"{_BEFORE}{_SIGN}{_MONEY}(?:{_RATIO}\n|{_DIGITS}{_EXPONENT}){_factor()}{_unit()}"
FLAGS = re.VERBOSE | re.IGNORECASE
NUMBER = re.compile(PATTERN, FLAGS)


def value_of(match: re.Match[str]) -> Fraction:
    """The number of a match of `NUMBER`, without its factor.

    Raises:
        ZeroDivisionError: a division by 0.

    Example:
        >>> str(value_of(NUMBER.search("about 2 1/2 cups"))), str(value_of(NUMBER.search("-1.234,50 €")))
        ('5/2', '-2469/2')
    """
    if match["top"]:
        value = int(match["whole"] or 0) + Fraction(f"{match['top']}/{match['bottom']}")
    else:
        exponent = match["exponent"] or match["ten"] or 0
        value = Fraction(f"{_digits(match)}e{exponent}") ** int(match["power"] or 1)
    if match["sign"] or match["minus"]:
        return -value
    return value


def _digits(match: re.Match[str]) -> str:
    """The digits with a decimal point and without groups."""
    form = next(form for form in FORMS if match[form.name])
    grouping = "[ ',.]".replace(form.decimal, "")
    return re.sub(grouping, "", match[form.name]).replace(form.decimal, ".")
