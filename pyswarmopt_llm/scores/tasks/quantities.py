"""Numbers with their units in replies, as models write them: 1,234.50, 10 000, 1e3, 1/2, -3, 3,5, 50%,
$5 million, 60 km/h, 9 * 2 = 18.

`accuracy`, `numeric` and votes read and compare numbers by these rules alone:

- a number counts by its value, however it is written in digits or English words;
- a unit on both sides has to be the same quantity: 3 km is 3000 m, but not 3 kg; $5 is not €5;
- a unit or a factor that one side lacks may have been left out: 5 is 5 kg and 5 million, 0.5 is 50%,
  but 5k is not 5 km;
- smaller units add to what stands before them: 2 h 30 min are 2.5 hours;
- other words are not units: 12 is 12 apples; "5 m" is metres, "5M" and "$5m" are millions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from pyswarmopt_llm.scores.tasks.stated import candidates, plain, statement
from pyswarmopt_llm.scores.tasks.units import Unit, unit_after
from pyswarmopt_llm.scores.words import MONTHS, typography

# Letters before a number make it a name (H2O), signs an exponent or a root.
_NUMBER = re.compile(
    r"""(?<![^\W_\u2e80-\U0003ffff])(?<![√^±<≤≥$€£¥₹])
    (?P<sign>-|(?<![0-9][ ])(?:minus|negative)\s+)?
    (?:(?P<money>[$€£¥₹]|(?:USD|EUR|GBP|JPY|INR|Rs)\b\.?)\s?(?P<minus>-)?)?(?:
    (?:(?P<whole>[0-9]{1,6})[ ])?(?<!/)(?P<top>[0-9]{1,40})\s?/\s?(?P<bottom>[0-9]{1,40})
      (?![0-9]|\s?/\s?[0-9]|[.,][0-9])                                       # 2 1/2
    |(?:(?P<comma>
      [0-9]{1,3}(?:[ '.][0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}         # 1.234,50
      |[0-9]{1,3}\.[0-9]{3}(?=\s?(?:€|Euros?\b))                              # 1.500 Euro
      |(?![1-9][0-9]{0,2}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9,]))
       (?<![,(\[])[0-9]+,[0-9]+(?![0-9]|,\s?[0-9]))                           # 3,5
    |(?P<digits>
      [0-9]{1,3}(?:[ '][0-9]{3})+(?![0-9])(?:\.[0-9]+)?                       # 10 000
      |(?!0,)[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9,])(?:\.[0-9]+)?       # 1,234.50
      |(?![12][0-9]{2}0s\b)[0-9]++(?:\.[0-9]++)?+|\.[0-9]++))             # not 1990s
      (?:e(?P<exponent>[+-]?[0-9]{1,3})(?![0-9])
      |\s?[×x*]\s?10(?:\^|\*\*)\{?(?P<ten>-?[0-9]{1,3})\}?                  # 2 × 10^6
      |(?:\^|\*\*)\{?(?P<power>-?[0-9]{1,3})\}?                           # 10^6
      |(?!e[+-]?[0-9]))
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# a multiple of a symbol is no number, nor is a date
_SYMBOL = re.compile(rf"\s*(?:π|√|(?:pi|[xyn]|{MONTHS})(?![^\W\d]))")
_UNIT = re.compile(r"\s*°?[^\W\d_]*[.,!*_\s]*")
# 3 - 5, 3 to 5, 3 or 5, 3, 4 and 5
_MORE = re.compile(
    r"\s*%?(?:\s*[^\W\d_]+\b){0,2}\s*"
    r"(?:[-+*/×÷^&;]|,?\s*(?:and|or|to|x|minus|plus|times)\b|,)[\s(]*-?[$€£¥₹]?\s*[0-9]"
)
# "more than 5", "step 5", "I don't think it is 5" are not the answer 5
_OTHER = re.compile(
    r"(?:(?:\b(?:not|never|cannot|doubt)|n't)\b(?:\s+[a-z]+){0,4}?"
    r"|\b(?:than|at\s+(?:least|most)|nearly|almost|over|under|above|below|up\s+to|question|exercise|problem|step))"
    rf"[\s*]+{_NUMBER.pattern}",
    _NUMBER.flags,
)
_OR_MORE = re.compile(r"\s*[a-z]*\s(?:or|and)\s(?:more|less|fewer|over|above|up)\b")
# "5 hours 30 minutes", "5 dollars and 20 cents"
_NEXT = re.compile(rf"\s*(?:and\s+)?{_NUMBER.pattern}", _NUMBER.flags)
# a last "3 or 4", "3-4", "between 3 and 4", or "3 + 4 ="
_UNCLEAR = re.compile(
    r"(?:[0-9](?:[^0-9.!?\n]*\b(?:or|could|might|may|maybe|perhaps|(?:al)?though)\b[^0-9.!?\n]*|[-–])|[Bb]etween\s\S+\sand\s)"
    r"[$€£¥₹]?-?[0-9][0-9.,]*[^0-9]*\Z|[=+×]\s*\Z"
)
_EQUALS = re.compile(r"[=⇒→]|\b(?:equals|which is)\b")
_REWRITTEN = {
    # "**3** or **4**"; marks between two numbers stay, lest "**18** 200" become 18 200
    r"(?<![\w*)])(?<![0-9]\s)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*]|\s[0-9])": r"\1",
    r"(?:°|\bdegrees?)\s*([CF])(?:elsius|ahrenheit)?\b": r"°\1",
    r"(?<=[^\W\d_])(?:\s?\^\s?|\*\*|\s\*\*\s)\{?([23])\}?(?!\d)": r"\1",  # m^2 is m2
    r"\b(?:square|sq\.?)\s+([^\W\d_]+)": r"\g<1>2",
    r"\bcubic\s+([^\W\d_]+)": r"\g<1>3",
    r"\bper cent\b": "percent",
}
_NAMES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]
_NUMBERS_NAMED = dict(zip(_NAMES, map(str, (*range(20), *range(20, 100, 10))), strict=True))
_JOINED = {  # after the words of digits
    "0[- ](?=[1-9](?![0-9]))": "",  # twenty-one is 21
    r"\ban?(?= (?:dozen|hundred|thousand|million|half|third|quarter)\b)": "1",
    r"(?<=[0-9]) point (?=[0-9])": ".",
    r"(?<=\b[1-9])[ -](?:half|halves)\b": "/2",
    r"(?<=\b[1-9])[ -]thirds?\b": "/3",
    r"(?<=\b[1-9])[ -](?:quarter|fourth)s?\b": "/4",
    r"(?<=[0-9]) and (?=[0-9]/)": " ",
}
# not of "no one knows", "one of them", "the right one", "Seven Samurai"
_NAMED = re.compile(
    r"(?<!\bno )(?!(?<=\w )(?<!ty )one\b(?! [a-z]))\b[a-z]{3,9}\b(?! of| (?-i:[A-Z]))",
    re.IGNORECASE,
)


class Quantity(NamedTuple):
    """A number and its unit: 50% is (50, 1/100), 50 apples are (50, 1); and where it ends in a text."""

    value: Fraction
    unit: Unit
    end: int

    def same(self, other: Quantity | None) -> bool:
        """Whether both are the same quantity; a unit missing on one side may have been left out.

        Example:
            >>> half, percent = written_quantity("0.5"), written_quantity("50%")
            >>> percent.same(half), percent.same(written_quantity("50")), percent.same(written_quantity("0.5%"))
            (True, True, False)
        """
        if other is None:
            return False
        if Unit() in (self.unit, other.unit) and self.value == other.value:
            return True
        count, theirs = (each.value * each.unit.factor for each in (self, other))
        if self.unit.kind == other.unit.kind:
            return count * self.unit.size == theirs * other.unit.size
        return "" in (self.unit.kind, other.unit.kind) and count == theirs


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
        if _NUMBER.search(shown):
            return _of_phrase(shown)
    first = written_quantity(own.strip().partition("\n\n")[0])
    if first is not None or _UNCLEAR.search(own):
        return first
    return max(quantities(own), key=lambda found: found.end, default=None)


def quantities(text: str) -> list[Quantity]:
    """All numbers of a text, those that are parts of others included.

    Example:
        >>> [str(found.value) for found in quantities("12 boxes of 2.5 kg")]
        ['12', '5/2']
    """
    return list(filter(None, map(_quantity, _NUMBER.finditer(_readable(text)))))


def written_quantity(text: str) -> Quantity | None:
    """The number that a text consists of, optionally with a unit, or as the result of a sum.

    Example:
        >>> str(written_quantity("1 200 g").value), written_quantity("Route 66")
        ('1200', None)
    """
    shown = re.sub(r"\A-\s+", "-", _readable(text).strip(" \t\r\n*_"))
    *terms, result = re.split(rf"\s*(?:≈|{_EQUALS.pattern})\s*", shown)
    found = _quantity(_NUMBER.match(result))
    if found and _UNIT.fullmatch(result, found.end) and all(map(_NUMBER.search, terms)):
        return _of_phrase(shown)
    return None


def _readable(text: str) -> str:
    """The text in plain digits and signs, without LaTeX and bold print; square metres are m2."""
    text = typography(plain(text))
    for written, read in _REWRITTEN.items():
        text = re.sub(written, read, text)
    if not re.search("[0-9]", text):
        text = _NAMED.sub(lambda word: _NUMBERS_NAMED.get(word[0].casefold(), word[0]), text)
        for named, read in _JOINED.items():
            text = re.sub(named, read, text)
    return _OTHER.sub("", text)


def _of_phrase(text: str) -> Quantity | None:
    """The number given by a phrase; of a calculation, the result, or else what it begins with, and
    exact before rounded.
    """
    sides = [side for part in text.split("≈") for side in reversed(_EQUALS.split(part))]
    if len(sides) == 1:
        return _single(_NUMBER.search(text))
    found = (_single(_NUMBER.match(side.strip("*_ \t\r\n"))) for side in sides)
    return next(filter(None, found), None)


def _single(match: re.Match[str] | None) -> Quantity | None:
    """A number, unless it starts a calculation, a list or a range."""
    found = _quantity(match)
    if match and found and _MORE.match(match.string, found.end):
        return None
    return found


def _quantity(match: re.Match[str] | None, above: Fraction | None = None) -> Quantity | None:
    """The quantity of a match, with a smaller part that follows it (5 hours 30 minutes); None for a
    division by 0, a multiple of a symbol, or a unit that is not smaller than `above`.
    """
    if match is None or _SYMBOL.match(match.string, match.end()):
        return None
    try:
        value = _value(match)
    except ZeroDivisionError:
        return None
    unit, end = unit_after(match.string, match.end(), match["money"])
    if _OR_MORE.match(match.string, end):
        return None
    size = unit.size * unit.factor
    if above and size >= above:
        return None
    part = _quantity(_NEXT.match(match.string, end), size)
    if part and unit.kind in ("", part.unit.kind):
        whole = unit
        if not unit.kind:
            whole = part.unit._replace(factor=unit.factor)
        share = part.unit.size * part.unit.factor / (whole.size * whole.factor)
        if share < 1:
            return Quantity(value + share * part.value, whole, part.end)
    return Quantity(value, unit, end)


def _value(match: re.Match[str]) -> Fraction:
    """The number of a match; ZeroDivisionError for a division by 0."""
    if match["top"]:
        value = int(match["whole"] or 0) + Fraction(f"{match['top']}/{match['bottom']}")
    else:
        digits = match["digits"] or match["comma"].replace(".", "").replace(",", ".")
        exponent = match["exponent"] or match["ten"] or 0
        value = Fraction(re.sub("[ ',]", "", f"{digits}e{exponent}")) ** int(match["power"] or 1)
    if match["sign"] or match["minus"]:
        return -value
    return value
