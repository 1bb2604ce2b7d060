"""Numbers in replies, as models write them: 1,234.50, 10 000, 1e3, 1/2, -3, 3,5, 50%, 9 * 2 = 18."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from pyswarmopt_llm.scores.tasks.stated import candidates, explicit_parts, own_part, plain

# Letters before a number make it a name (H2O); the minus in "3-5" is a dash.
_NUMBER = re.compile(
    r"""(?<![^\W_\u2e80-\U0003ffff])(?<!√)(?P<sign>[-\u2212\u2013]|(?:minus|negative)\s+)?(?:
    10(?:\s?\^\s?|\*\*|\s\*\*\s)\{?(?P<ten>[-\u2212]?[0-9]{1,3})\}?                # 10^6
    |(?:(?P<whole>[0-9]{1,6})[ \u2009]+)?(?<!/)(?P<top>[0-9]{1,40})\s?/\s?(?P<bottom>[0-9]{1,40})
      (?![0-9]|\s?/\s?[0-9]|[.,][0-9])                                        # 2 1/2
    |(?P<english>
      (?!0,)[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?                    # 1,234.50
      |[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9,])                             # 1,00,000
    )|(?P<spaced>
      [0-9]{1,3}(?:[ \u00a0\u2009\u202f'\u2019][0-9]{3})+(?![0-9])(?:[.,][0-9]+)?  # 10 000
    )|(?P<european>
      [0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+(?![0-9,])                              # 1.234,50
      |[0-9]{1,3}(?:\.[0-9]{3}){2,}(?![0-9.])                                  # 1.234.567
      |(?<![,(\[])(?:[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]+)(?![0-9]|,\s?[0-9])  # 3,5
    )|(?P<plain>
      [0-9]++(?:\.[0-9]++)?+|\.[0-9]++
    )(?:[eE](?P<exponent>[+-]?[0-9]{1,3})(?![0-9])|\s?[×x*]\s?10(?:\s?\^\s?|\*\*|\s\*\*\s)\{?(?P<power>[-\u2212]?[0-9]{1,3})\}?|(?!e[+-]?[0-9]))
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_UNIT = re.compile(
    r"\s*(?:[%‰]|percent\b|(?![πxyn](?!\w)|pi\b)°?[^\W\d_]*[²³]?\.?)[*_\s]*", re.IGNORECASE
)
_NO_NUMBER = re.compile(r"\s*(?:π|√|pi\b)")  # a multiple of a symbol
_OPERATION = re.compile(
    r"(?:\s*[^\W\d_]+\b|\s*%)?\s*(?:[-+*/×÷^\u2212\u2013]|x(?!\w)|\*\*|to\b|minus\b|plus\b|times\b)\s*\(?\s*[0-9]"
)
_LIST = re.compile(
    r"(?:\s*[^\W\d_]+\b)?\s*(?:,?\s*(?:and|or)\s|[,;/&])\s*[-\u2212]?[0-9.,]+"
    r"(?:\s*[^\W\d_]+\b)?\s*(?:$|[.;,)!?*]|(?:,?\s*(?:and|or)|[,;/&])\s)"
)
_EQUALS = re.compile(r"[=≈⇒→]|\b(?:equals|which is)\b")
_DENIED = re.compile(r"[\s*_]*not\b(?:.*?\bbut\b(?P<rather>.*))?", re.IGNORECASE | re.DOTALL)
_CURRENCY = re.compile("[€£¥]")
_FACTORS = {
    "‰": Fraction(1, 1000),
    "%": Fraction(1, 100),
    "percent": Fraction(1, 100),
    "dozen": Fraction(12),
}
_POWERS_OF_TEN = {
    3: "thousand k K",
    5: "lakh",
    6: "million M",
    7: "crore",
    9: "billion bn",
    12: "trillion",
}
for _power, _names in _POWERS_OF_TEN.items():
    _FACTORS |= dict.fromkeys(_names.split(), Fraction(10**_power))
_HALVES = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
_POWERS = {"2": "²", "3": "³"}
_RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_RAISED_DIGITS = re.compile(r"(?<=\d)⁻?[⁰¹²³⁴-⁹]+")
_ALONE = re.compile(r"\s*(?P<answer>[^\n]+)\n[ \t]*\n")  # a first line by itself
# cm^2, cm**2 and cm ** 2, and neither 3x^2 nor "has **2 cars**"
_POWER_OF_UNIT = re.compile(
    r"(?<=[^\W\d_])(?<![\d\W][xyn])(?:\s*\^\s*|\*\*|\s+\*\*\s+)\{?([23])\}?(?!\d)"
)

# "**3** or **4**"; marks between two numbers stay, lest "**18** 200" become 18 200
_BOLD = re.compile(r"(?<![\w*)])(?<![0-9]\s)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*]|\s[0-9])")


class Quantity(NamedTuple):
    """A number and the factor of its unit: 50% is (50, 1/100), 50 apples are (50, 1)."""

    value: Fraction
    factor: Fraction

    def same(self, other: Quantity) -> bool:
        """Whether both are the same quantity; a factor missing on one side may have been left out.

        Example:
            >>> half, percent = written_quantity("0.5"), written_quantity("50%")
            >>> percent.same(half), percent.same(written_quantity("50")), percent.same(written_quantity("0.5%"))
            (True, True, False)
        """
        if self.value * self.factor == other.value * other.factor:
            return True
        return 1 in (self.factor, other.factor) and self.value == other.value


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
        if any(_NUMBER.finditer(shown)):
            return _of_phrase(shown)
    alone = _ALONE.match(own_part(text))
    first = written_quantity(alone["answer"]) if alone else None
    if first is not None:
        return first
    numbers = map(_quantity, _NUMBER.finditer(_readable(candidates(text)[-1])))
    return next(filter(None, reversed([*numbers])), None)


def written_quantity(text: str) -> Quantity | None:
    """The number that a text consists of, optionally with a unit, or as the result of a sum.

    Example:
        >>> str(written_quantity("1 200 g").value), written_quantity("Route 66")
        ('1200', None)
    """
    shown = _readable(text).strip(" \t\r\n*_")
    sides = _EQUALS.split(shown)
    match = _NUMBER.match(sides[-1].strip())
    if match is None or _UNIT.fullmatch(sides[-1].strip(), match.end()) is None:
        return None
    if len(sides) > 1 and not all(any(_NUMBER.finditer(side)) for side in sides):
        return None
    return _of_phrase(shown)


def _readable(text: str) -> str:
    """The text in plain digits: without LaTeX, bold print, currencies, fraction signs, or other
    scripts' digits.
    """
    text = _BOLD.sub(r"\1", plain(text))
    for sign, written in _HALVES.items():
        text = re.sub(rf"(?<=\d){sign}", f" {written}", text).replace(sign, written)
    text = _CURRENCY.sub("", text)
    text = _POWER_OF_UNIT.sub(lambda power: _POWERS[power[1]], text)
    text = _RAISED_DIGITS.sub(lambda power: "^" + power[0].translate(_RAISED), text)
    return re.sub(r"\d", lambda digit: str(int(digit[0])), text)


def _of_phrase(text: str) -> Quantity | None:
    """The number given by a phrase; of a calculation, the result."""
    denied = _DENIED.match(text)
    if denied is not None:
        return None if denied["rather"] is None else _of_phrase(denied["rather"])
    sides = _EQUALS.split(text.strip())
    if len(sides) == 1:
        return _single(next(_NUMBER.finditer(text), None))
    results = [_single(_NUMBER.match(side.strip("*_ \t"))) for side in sides]
    found = [result for result in (results[0], *reversed(results)) if result is not None]
    return found[0] if found else None


def _single(match: re.Match[str] | None) -> Quantity | None:
    """A number, unless it starts a calculation, a list or a range."""
    if match is None:
        return None
    rest = match.string[match.end() :]
    if _OPERATION.match(rest) or _LIST.match(rest):
        return None
    return _quantity(match)


def _quantity(match: re.Match[str]) -> Quantity | None:
    """The quantity of a match; None for a division by 0 or a multiple of pi."""
    if _NO_NUMBER.match(match.string, match.end()) or int(match["bottom"] or 1) == 0:
        return None
    value = _value(match)
    unit = re.match(r"\s*([%‰]|\w+)", match.string[match.end() :])
    name = unit[1] if unit else ""
    factor = _FACTORS.get(name) or _FACTORS.get(name.lower(), Fraction(1))
    return Quantity(value, factor)


def _value(match: re.Match[str]) -> Fraction:
    if match["ten"]:
        value = Fraction(10) ** int(match["ten"].replace("\u2212", "-"))
    elif match["top"]:
        value = int(match["whole"] or 0) + Fraction(int(match["top"]), int(match["bottom"]))
    else:
        power = (match["exponent"] or match["power"] or "0").replace("\u2212", "-")
        value = Fraction(_digits(match)) * Fraction(10) ** int(power)
    after_a_number = match.string[: match.start()].rstrip()[-1:].isdigit()  # "5 minus 3"
    word = len(match["sign"] or "") > 1
    return -value if match["sign"] and not (word and after_a_number) else value


def _digits(match: re.Match[str]) -> str:
    """The digits of a number with a decimal point, without thousands separators."""
    if match["english"]:
        return match["english"].replace(",", "")
    if match["european"]:
        return match["european"].replace(".", "").replace(",", ".")
    if match["spaced"]:
        return re.sub(r"[^0-9.,]", "", match["spaced"]).replace(",", ".")
    return match["plain"]
