"""Numbers with their units in replies, as models write them: 1,234.50, 10 000, 1e3, 1/2, -3, 3,5, 50%,
$5 million, 60 km/h, 9 * 2 = 18.

`accuracy`, `numeric` and votes read and compare numbers by these rules alone:

- a number counts by its value, however it is written;
- a unit on both sides has to be the same quantity: 3 km is 3000 m, but not 3 kg; $5 is not €5;
- a unit or a factor that one side lacks may have been left out: 5 is 5 kg and 5 million, 0.5 is 50%,
  but 5k is not 5 km;
- other words are no units: 12 is 12 apples; "5 m" is metres, "5M" and "$5m" are millions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from pyswarmopt_llm.scores.tasks.stated import candidates, explicit_parts, own_part, plain
from pyswarmopt_llm.scores.tasks.units import Unit, unit_after
from pyswarmopt_llm.scores.words import typography

# Letters before a number make it a name (H2O), signs an exponent or a root.
_NUMBER = re.compile(
    r"""(?<![^\W_\u2e80-\U0003ffff])(?<![√^±<≤≥$€£¥₹])(?P<sign>-|(?:minus|negative)\s+)?
    (?:(?P<money>[$€£¥₹]|(?:USD|EUR|GBP|JPY|INR|Rs)\b\.?)\s?(?P<minus>-)?)?(?:
    (?:(?P<whole>[0-9]{1,6})[ ])?(?<!/)(?P<top>[0-9]{1,40})\s?/\s?(?P<bottom>[0-9]{1,40})
      (?![0-9]|\s?/\s?[0-9]|[.,][0-9])                                       # 2 1/2
    |(?P<digits>
      [0-9]{1,3}(?:[ '][0-9]{3})+(?![0-9])(?:[.,][0-9]+)?                     # 10 000
      |(?!0,)[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9,])(?:\.[0-9]+)?       # 1,234.50
      |[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}          # 1.234,50
      |(?<![,(\[])[0-9]+,[0-9]+(?![0-9]|,\s?[0-9])                            # 3,5
      |(?![12][0-9]{2}0s\b)[0-9]++(?:\.[0-9]++)?+|\.[0-9]++)              # not 1990s
      (?:e(?P<exponent>[+-]?[0-9]{1,3})(?![0-9])
      |(?:\s?[×x*]\s?(?P<ten>10))?(?:\^|\*\*)\{?(?P<power>-?[0-9]{1,3})\}?  # 2 × 10^6, 10^6
      |(?!e[+-]?[0-9]))
    )""",
    re.VERBOSE | re.IGNORECASE,
)
# a multiple of a symbol is no number, nor is a date
_SYMBOL = re.compile(
    r"\s*(?:π|√|(?:pi|[xyn]|(?:Jan|Febr)uary|March|April|May|June|July|August|(?:Septem|Octo|Novem|Decem)ber)(?![^\W\d]))"
)
_UNIT = re.compile(r"(?:\s*°?[^\W\d_]+)?[.!*_\s]*")
# 3 - 5, 3 to 5, 3 or 5, 3, 4 and 5, 5 hours and 30 minutes, 5 hours 30 minutes
_MORE = re.compile(
    r"\s*%?(?:\s*[^\W\d_]+\b){0,2}\s*"
    r"(?:[-+*/×÷^&;]|,?\s*(?:and|or|to|x|minus|plus|times)\b|,)[\s(]*-?[$€£¥₹]?\s*[0-9]"
    r"|\s*[^\W\d_]+\s*[0-9]+\s*(?:min(?:ute)?s?|sec(?:ond)?s?|s|in(?:ch(?:es)?)?|oz|cm|cents?)\b"
)
# a last "3 or 4", "3-4", "between 3 and 4"
_EITHER = re.compile(
    r"(?:[0-9](?:(?:\s\w+)?\sor\s|[-–])|between\s\S+\sand\s)[$€£¥₹]?-?[0-9][0-9.,]*[^0-9]*\Z"
)
_EQUALS = re.compile(r"[=⇒→]|\b(?:equals|which is)\b")
_SQUARE = re.compile(r"\b(?:(square|sq\.?)|cubic)\s+([^\W\d_]+)")
_DEGREES = re.compile(r"°\s+|\bdegrees?\s+(?=[CF])")
_POWER = re.compile(r"(?<=[^\W\d_])(?:\s?\^\s?|\*\*|\s\*\*\s)\{?([23])\}?(?!\d)")  # m^2
_ALONE = re.compile(r"\s*(?P<answer>[^\n]+)(?:\n[ \t]*\n|\s*\Z)")  # a first line by itself
# "**3** or **4**"; marks between two numbers stay, lest "**18** 200" become 18 200
_BOLD = re.compile(r"(?<![\w*)])(?<![0-9]\s)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*]|\s[0-9])")


class Quantity(NamedTuple):
    """A number and its unit: 50% is (50, 1/100), 50 apples are (50, 1)."""

    value: Fraction
    unit: Unit

    def same(self, other: Quantity) -> bool:
        """Whether both are the same quantity; a unit missing on one side may have been left out.

        Example:
            >>> half, percent = written_quantity("0.5"), written_quantity("50%")
            >>> percent.same(half), percent.same(written_quantity("50")), percent.same(written_quantity("0.5%"))
            (True, True, False)
        """
        if Unit() in (self.unit, other.unit) and self.value == other.value:
            return True
        count, theirs = (each.value * each.unit.factor for each in (self, other))
        if not (self.unit.kind and other.unit.kind):
            return count == theirs
        same = self.unit.kind == other.unit.kind
        return same and count * self.unit.size == theirs * other.unit.size


def stated_quantity(text: str) -> Quantity | None:
    """The number that a reply gives as its answer; None if there is none, or several.

    Text marked as the answer decides. There a sum counts by its result, and alternatives, lists and
    ranges are unclear. Without a mark, a first line that is a number counts, else the last number.

    Example:
        >>> str(stated_quantity("Answer: 30 + 7 = 37").value), stated_quantity("The answer is 3 or 4.")
        ('37', None)
    """
    for part in explicit_parts(own_part(text)):
        shown = _readable(part)
        if _NUMBER.search(shown):
            return _of_phrase(shown)
    alone = _ALONE.match(own_part(text))
    first = written_quantity(alone["answer"]) if alone else None
    if first is not None or _EITHER.search(own_part(text)):
        return first
    numbers = map(_quantity, _NUMBER.finditer(_readable(candidates(text)[-1])))
    return next(filter(None, reversed([*numbers])), None)


def written_quantity(text: str) -> Quantity | None:
    """The number that a text consists of, optionally with a unit, or as the result of a sum.

    Example:
        >>> str(written_quantity("1 200 g").value), written_quantity("Route 66")
        ('1200', None)
    """
    shown = re.sub(r"\A-\s+", "-", _readable(text).strip(" \t\r\n*_"))
    *terms, result = re.split(f"≈|{_EQUALS.pattern}", shown)
    match = _NUMBER.match(result.strip())
    if match is None:
        return None
    _, end = unit_after(match.string, match.end(), match["money"])
    if _UNIT.fullmatch(match.string, end) is None:
        return None
    if all(map(_NUMBER.search, terms)):
        return _of_phrase(shown)
    return None


def _readable(text: str) -> str:
    """The text in plain digits and signs, without LaTeX and bold print; square metres are m2."""
    text = _BOLD.sub(r"\1", typography(plain(text)))
    text = _POWER.sub(r"\1", _DEGREES.sub("°", text))
    text = _SQUARE.sub(lambda match: f"{match[2]}{2 if match[1] else 3}", text)
    return re.sub(r"\d", lambda digit: str(int(digit[0])), text.replace("per cent", "percent"))


def _of_phrase(text: str) -> Quantity | None:
    """The number given by a phrase; of a calculation, the result, or else what it begins with, and
    exact before rounded.
    """
    if denied := re.match(r"(?is)[\s*_]*not\b(?:.*?\bbut\b(.*))?", text):
        return _of_phrase(denied[1] or "")
    sides = [side for part in text.split("≈") for side in reversed(_EQUALS.split(part))]
    if len(sides) == 1:
        return _single(_NUMBER.search(text))
    found = (_single(_NUMBER.match(side.strip("*_ \t\r\n"))) for side in sides)
    return next(filter(None, found), None)


def _single(match: re.Match[str] | None) -> Quantity | None:
    """A number, unless it starts a calculation, a list or a range."""
    if match is None or _MORE.match(match.string, match.end()):
        return None
    return _quantity(match)


def _quantity(match: re.Match[str]) -> Quantity | None:
    """The quantity of a match; None for a division by 0 or a multiple of a symbol."""
    if _SYMBOL.match(match.string, match.end()) or int(match["bottom"] or 1) == 0:
        return None
    if match["top"]:
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), int(match["bottom"]))
    else:
        value = Fraction(_decimal(match["digits"]))
        power = int(match["exponent"] or match["power"] or 0)
        if match["power"] and not match["ten"]:
            value = value**power if value else Fraction(0)
        else:
            value *= Fraction(10) ** power
    sign = match["sign"] or match["minus"] or ""
    after_a_number = match.string[: match.start()].rstrip()[-1:].isdigit()  # "5 minus 3"
    if sign and not (sign != "-" and after_a_number):
        value = -value
    unit, _ = unit_after(match.string, match.end(), match["money"])
    return Quantity(value, unit)


def _decimal(digits: str) -> str:
    """The digits of a number with a decimal point, without thousands separators.

    Example:
        >>> [_decimal(text) for text in ("1,234", "1.234,50", "1.234.567", "3,5", "0,125", "3.141")]
        ['1234', '1234.50', '1234567', '3.5', '0.125', '3.141']
    """
    digits = re.sub(r"[ ']", "", digits)
    marks = re.findall("[.,]", digits)
    if not marks:
        return digits
    head, mark, tail = digits.rpartition(marks[-1])
    thousands = mark == "," and len(tail) == 3 and not digits.startswith("0,")
    if len(marks) > 1:
        thousands = len({*marks}) == 1
    whole = re.sub("[.,]", "", head)
    return whole + tail if thousands else f"{whole}.{tail}"
