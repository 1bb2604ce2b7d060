"""Numbers with their units in replies, as models write them: 1,234.50, 10 000, 1e3, 1/2, -3, 3,5, 50%,
$5 million, 60 km/h, 9 * 2 = 18.

`accuracy`, `numeric` and votes read and compare numbers by these rules alone:

- a number counts by its value, in whatever digits it is written; number words are not read;
- units are compared, not converted: 3 km are 3 kilometres, but 3000 m or 3 kg are unclear;
- a unit or a factor that one side lacks may have been left out: 5 is 5 kg and 5 million, 0.5 is 50%,
  but 5k is not 5 km;
- other words are not units: 12 is 12 apples; "5 m" is metres, "5M" and "$5m" are millions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from pyswarmopt_llm.scores.tasks.number_forms import FACTORS, Number, number_at, numbers
from pyswarmopt_llm.scores.tasks.stated import candidates, plain, statement
from pyswarmopt_llm.scores.words import MONTHS, typography

# a multiple of a symbol is no number, nor are a date, a time and a bound
_NO_NUMBER = re.compile(
    rf"\s*(?:[π√‰百千万萬億亿]|(?:pi|[xyn]|[mbt]n|lakh|crore|{MONTHS})(?![^\W\d]))"
    r"|:[0-9]|[a-z]*\s(?:or|and)\s(?:more|less|fewer|over|above|up)\b",
    re.IGNORECASE,
)
_REST = re.compile(r"\s*/?[^\W\d_]*[.,!*_\s]*")
_SMALLER = (
    r"[0-9]+\s?(?:min(?:ute)?s?|s(?:ec(?:ond)?s?)?|in(?:ch(?:es)?)?|cents?|pence|oz|ounces?)\b"
)
# after a number: a sum, a list or a range begins
_MORE = re.compile(
    rf"""
    \s+{_SMALLER}                                                  # 5 hours 30 minutes
    | \s*%?(?:\s*[^\W\d_]+\b){{0,2}}\s*                            # a unit, then 3 - 5, 3 to 5,
    (?:[-+*/×÷^&;]|,?\s*(?:and|or|to|x|minus|plus|times)\b|,)     # 3 or 5, 3, 4 and 5
    [\s(]*-?[$€£¥₹]?\s*[0-9]
    """,
    re.VERBOSE,
)
# before a number that is not the answer: "more than 5", "step 5", "I don't think it is 5"
_BEFORE_ANOTHER = re.compile(
    r"""
    (?:(?:\b(?:not|never|cannot|doubt)|n't)\b(?:\s+[a-z]+){0,4}
    |\b(?:than|at\s+(?:least|most)|nearly|almost|over|under|above|below|up\s+to
          |question|exercise|problem|step))
    [\s*]+\Z
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FARTHEST = 200  # characters before a number that are looked at
# the end of a text that gives no single number
_UNCLEAR = re.compile(
    rf"""
    (?:[0-9]
        (?:[^0-9.!?\n]*                                            # 3 ≈ 4, 3 or 4, 3 or maybe 4
            (?:≈|\b(?:or|could|might|may|maybe|perhaps|(?:al)?though)\b)
            [^0-9.!?\n]*
        |[-–])                                                     # 3-4
    |[Bb]etween\s\S+\sand\s)                                      # between 3 and 4
    [$€£¥₹]?-?[0-9][0-9.,]*[^0-9]*\Z
    |[0-9](?:\s?[a-z]+)?,?(?:\sand)?\s{_SMALLER}[^0-9]*\Z         # 5 h 30 min
    |[=+×]\s*\Z                                                   # 3 + 4 =
    """,
    re.VERBOSE,
)
_EQUALS = re.compile(r"[=⇒→]|\b(?:equals|which is)\b")
_REWRITTEN = {
    # "**3** or **4**"; marks between two numbers stay, lest "**18** 200" become 18 200
    r"(?<![\w*)])(?<![0-9]\s)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*]|\s[0-9])": r"\1",
    r"(?:°|\bdegrees?)\s*([CF])(?:elsius|ahrenheit)?\b": r"°\1",
    r"(?<=[^\W\d_])(?:\s?\^\s?|\*\*|\s\*\*\s)\{?([23])\}?(?!\d)": r"\1",  # m^2 is m2
    r"(?i)\bper\s?cent\b": "%",
    r"(?i)\s+per\s+(?=[a-z])": "/",
    # units in full
    r"(?i)(?<![^\W\d_])([kcm])(?:ilo|enti|illi)(?=[mgl])": r"\1",
    r"(?i)(?<![^\W\d_])([kcm]?)met(?:er|re)s?\b": r"\1m",
    r"(?i)(?<![^\W\d_])([km]?)gra?ms?\b": r"\1g",
    r"(?i)(?<![^\W\d_])(m?)lit(?:er|re)s?\b": r"\1l",
    r"(?i)(?<![^\W\d_])sec(?:ond)?s?\b": "s",
    r"(?i)(?<![^\W\d_])min(?:ute)?s?\b": "min",
    r"(?i)(?<![^\W\d_])h(?:ou)?rs?\b": "h",
    r"(?i)(?<![^\W\d_])(?:dollars?|USD)\b": "$",
    r"(?i)(?<![^\W\d_])(?:euros?|EUR)\b": "€",
}


class Quantity(NamedTuple):
    """A number with its factor and unit: 50% is (50, 1/100, "%"), $5 million (5, 10^6, "$")."""

    value: Fraction
    factor: Fraction
    unit: str

    def same(self, other: Quantity) -> bool | None:
        """Whether both are the same quantity; None if their units differ. A unit that is missing on
        one side may have been left out.

        Example:
            >>> half, percent = written_quantity("0.5"), written_quantity("50%")
            >>> percent.same(half), percent.same(written_quantity("50")), percent.same(written_quantity("0.5%"))
            (True, True, False)
        """
        if self.unit and other.unit and self.unit != other.unit:
            return None
        bare = any(each.factor == 1 and not each.unit for each in (self, other))
        if bare and self.value == other.value:
            return True
        return self.value * self.factor == other.value * other.factor


def stated_quantity(text: str) -> Quantity | None:
    """The number that a reply gives as its answer; None if there is none, or several.

    Text marked as the answer decides. There a sum counts by its result, and alternatives, lists and
    ranges are unclear. Without a mark, a first line that is a number counts, else the last number.

    Example:
        >>> str(stated_quantity("Answer: 30 + 7 = 37").value), stated_quantity("The answer is 3 or 4.")
        ('37', None)
    """
    *marked, own = candidates(text)
    for shown in map(_readable, map(statement, marked)):
        if _first(shown):
            return _of_phrase(shown)
    if marked:
        return None
    first = written_quantity(own.strip().partition("\n\n")[0])
    if first or _UNCLEAR.search(own):
        return first
    return next(reversed(quantities(own)), None)


def quantities(text: str) -> list[Quantity]:
    """All numbers of a text.

    Example:
        >>> [str(found.value) for found in quantities("12 boxes of 2.5 kg")]
        ['12', '5/2']
    """
    shown = _readable(text)
    found = [_quantity(number, shown) for number in numbers(shown)]
    return [quantity for quantity in found if quantity]


def written_quantity(text: str) -> Quantity | None:
    """The number that a text consists of, optionally with a unit, or as the result of a sum.

    Example:
        >>> str(written_quantity("1 200 g").value), written_quantity("Route 66")
        ('1200', None)
    """
    shown = re.sub(r"\A-\s+", "-", _readable(text).strip(" \t\r\n*_"))
    *terms, result = map(str.strip, _EQUALS.split(shown))
    number = number_at(result)
    if number and _REST.fullmatch(result, number.end) and all(map(_first, terms)):
        return _quantity(number, result)
    return None


def _readable(text: str) -> str:
    """The text in plain signs and with short units, without LaTeX and bold print."""
    text = typography(plain(text))
    for written, read in _REWRITTEN.items():
        text = re.sub(written, read, text)
    return _without_others(text)


def _without_others(text: str) -> str:
    """The text without the numbers that words before them exclude, and without these words."""
    kept = []
    begin = 0
    for number in numbers(text):
        before = _BEFORE_ANOTHER.search(text, max(begin, number.start - _FARTHEST), number.start)
        if before:
            kept.append(text[begin : before.start()])
            begin = number.end
    return "".join((*kept, text[begin:]))


def _first(text: str) -> Number | None:
    """The first number of a text."""
    return next(numbers(text), None)


def _of_phrase(text: str) -> Quantity | None:
    """The number given by a phrase: exact before rounded, and the result of a calculation; None if it
    starts a calculation, a list or a range.
    """
    result = _EQUALS.split(text.partition("≈")[0])[-1]
    number = _first(result)
    if number and not _MORE.match(result, number.end):
        return _quantity(number, result)
    return None


def _quantity(number: Number, text: str) -> Quantity | None:
    """The quantity of a number of a text; None for a division by 0, a multiple of a symbol, or a
    bound.
    """
    if number.value is None or _NO_NUMBER.match(text, number.end):
        return None
    unit = number.currency or number.unit
    if not unit and number.factor == "%":
        unit = "%"
    return Quantity(number.value, Fraction(FACTORS.get(number.factor, 1)), unit)
