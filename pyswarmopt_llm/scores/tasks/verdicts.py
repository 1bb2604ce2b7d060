"""Verdicts in replies: yes or no, true or false; the better of two replies; a rating from 1 to 10.

An unclear reply gives None, never a guess.
"""

from __future__ import annotations

import re
from decimal import Decimal

from pyswarmopt_llm.scores.tasks.stated import candidates, plain, without_thoughts

VERDICTS = ("yes", "no", "true", "false", "maybe")

_ECHO = re.compile(r"\b(?:yes|no|true|false)\s*(?:/|,?\s*(?:or|and))\s*(?:yes|no|true|false)\b")
_IDIOM = re.compile(
    r"\bno\s+(?:doubt|problem|worries|wonder|idea|need|matter|question|longer|way\s+to\s+(?:know|tell))\b"
)
_DENIED = re.compile(
    r"(?:\bnot|n't)\s+(?:really\s+|quite\s+|entirely\s+|actually\s+|necessarily\s+|strictly\s+)?(true|false|yes|no)\b"
)
_REFUSAL = re.compile(r"\b(?:absolutely|certainly|definitely|of course)\s+not\b")
_OPPOSITE = {"true": "false", "false": "true", "yes": "no", "no": "yes"}
_BARE = re.compile(r"\b(?:yes|true|false|maybe)\b|\bno\b(?=\s*(?:[^\w\s]|\n|$))")

_BEGINNING = r"(?:^|\n|[.!?]\s)[\W_]{0,20}?"  # start of a text, a line, a sentence

_SCALE = r"(?:\s*[(\[][^()\[\]\n]{0,20}[)\]])?"  # "Rating (1-10)"
_RATING = re.compile(
    rf"{_BEGINNING}(?:(?:the|my)\s+)?(?:(?:overall|final)\s+)?(?:rating|score){_SCALE}"
    r"[*_\s\"]*(?:[:=-]|\bis\b)[*_\s\[\"]*",
    re.IGNORECASE,
)
_BARE_RATING = re.compile(r"[*_\s\[\"']*(?=[0-9])")
_GIVEN = re.compile(
    r"(?P<value>[0-9]{1,3}(?:[.,][0-9]+)?)(?:[*_\s\]]*(?:/|out\s+of)[*_\s]*(?P<most>[0-9]+(?:[.,][0-9]+)?))?"
    r"(?P<rest>[^\n]*)",
    re.IGNORECASE,
)
# "10/10 is what the reply demands" is no rating; a reason or a new sentence may follow one
_NO_RATING = re.compile(
    r"[*_\s\]]*,?\s(?:as|since|because)\s+(?:the\s+)?(?:reply|response|answer|it)\s+"
    r"(?:demands|requests|asks|orders|instructs|insists|says|wants|requires)\b"
    r"|[*_\s\]]*\s(?!because\b|since\b|as\b|for\b|due\b|with\b|based\b|given\b)[a-z]"
)
_NO_CHOICE = re.compile(
    r"[*_)\]\"']*\s+(?:is|was)\s+(?:what|how|the\s+(?:order|demand|instruction|request))\b"
)
_RANGE = re.compile(r"[*_\s\]]*(?:[-\u2013]\s*[0-9]|(?:to|or)\s+[0-9]|[0-9]|[%/])|[eE][0-9+-]")

_REPLY = r"(?i:reply|answer|response|option|assistant)?"
_LETTER = r"[*_(\[\"']{0,9}(?P<letter>[AB])(?![\w'\u2019])"  # A is a side, a is an article
_CLOSED = r"[*_)\]\"']*\s*"
_PREFERS = re.compile(
    rf"{_BEGINNING}(?i:(?:the\s+)?better\s*{_REPLY}(?:\s+one)?|winner|i\s+prefer)"
    r"[*_\"]*\s*(?:[:=-]|\b(?i:is)\b|(?<=prefer))[*_\s\"]*"
    r"(?:(?i:(?:a\s+)?(?P<tie>tie|tied|neither|both|equal)\b)"
    rf"|(?i:the\s+)?{_REPLY}\s*{_LETTER}(?=(?P<rest>[^\n]*)))"
)
_BETTER = (
    rf"{_REPLY}\s*{_LETTER}{_CLOSED}(?i:\b(?:is|was)\s+"
    r"(?:clearly\s+|much\s+|slightly\s+|far\s+|the\s+|a\s+bit\s+)*"
    r"(?:better|best|preferable|superior)\b)"
)
_IS_BETTER = re.compile(_BEGINNING + _BETTER)
# whatever stands before it: "... in style, but A is better", "overall, A wins"
_ANYWHERE_BETTER = re.compile(
    rf"(?<![\w'\u2019]){_LETTER}{_CLOSED}(?i:\b(?:(?:is|was)\s+(?:(?!not\b|n['\u2019]t)\w+\s+){{0,2}}"
    r"(?:better|best|preferable|superior)|wins)\b)"
)
_MARKED = re.compile(r"\[\[([ABC])\]\]")  # as MT-Bench asks (Zheng et al. 2023, arXiv 2306.05685)
_LETTER_ALONE = re.compile(
    rf"[\W_]*{_REPLY}\s*{_LETTER}{_CLOSED}(?:[.!:,;]|\n|$)(?P<rest>.*)", re.DOTALL
)
_TIE_ALONE = re.compile(r"[\W_]*(?:it(?:['\u2019]s|\s+is)\s+)?(?:a\s+)?tie\b", re.IGNORECASE)
_NO_ARTICLE = re.compile(rf"{_CLOSED}(?:$|[^\w\s'\u2019]|(?:because|since|as|is|by)\b)")


def spoken_verdict(text: str) -> str | None:
    """The verdict of a reply (yes, no, true, false or maybe); None if there is none, or several.

    Text marked as the answer decides, then the first word, then the only verdict in the reply.

    Example:
        >>> spoken_verdict("Yes or no? Let me see. #### no"), spoken_verdict("That is not true.")
        ('no', 'false')
    """
    found = (_verdict(plain(part)) for part in candidates(text))
    return next((verdict for verdict in found if verdict is not None), None)


def preferred(text: str) -> str | None:
    """The reply that a judge prefers, "A" or "B", or "tie"; None if unclear.

    "Better: A" at the start decides, whatever reasons follow; elsewhere it goes before "A is
    better".

    Example:
        >>> preferred("Reply B is better. A is too long."), preferred("Better: tie"), preferred("Both!")
        ('B', 'tie', None)
    """
    text = without_thoughts(text).strip()
    stated = [_side(match) for match in _PREFERS.finditer(text)]
    if stated and _PREFERS.match(text) and stated[0] is not None:
        return stated[0]
    marked = {side for side in stated if side is not None}
    marked |= {side.replace("C", "tie") for side in _MARKED.findall(text)}
    said = marked or {match["letter"] for match in _IS_BETTER.finditer(text)}
    if said and not marked:  # "A is better in style, but overall B is better"
        said |= {match["letter"] for match in _ANYWHERE_BETTER.finditer(text)}
    if said:
        return said.pop() if len(said) == 1 else None
    if _TIE_ALONE.match(text):
        return "tie"
    alone = _LETTER_ALONE.match(text)
    if alone is None or re.search(r"(?<!\w)[AB](?:[:)]|\s*$)", alone["rest"]):
        return None
    return alone["letter"]


def rating(text: str) -> float | None:
    """A judge's rating from 1 to 10; None if there is none, several, or one on another scale.

    Example:
        >>> rating("Rating (1-10): 8/10"), rating("Rating: 4/5"), rating("Rating: -3/10")
        (8.0, None, None)
    """
    text = without_thoughts(text).strip()
    first = _RATING.match(text)
    if first is not None:
        return _rated(text[first.end() :])
    ratings = {_rated(text[match.end() :]) for match in _RATING.finditer(text)}
    if ratings:
        return ratings.pop() if len(ratings) == 1 else None
    bare = _BARE_RATING.match(text)
    return None if bare is None else _rated(text[bare.end() :], bare=True)


def _verdict(text: str) -> str | None:
    words = _IDIOM.sub(" ", _ECHO.sub(" ", text.casefold().replace("\u2019", "'")))
    words = _DENIED.sub(lambda match: f" {_OPPOSITE[match[1]]};", words)
    words = _REFUSAL.sub("no;", words)
    first = re.match(r"[\W_]*([a-z]+)", words)
    if first is not None and first[1] in VERDICTS:
        return first[1]
    found = set(_BARE.findall(words)) or set(re.findall(r"\bno\b", words))
    return found.pop() if len(found) == 1 else None


def _side(match: re.Match[str]) -> str | None:
    """The reply named by "Better: ..."; "Better: A clear answer" names none."""
    if match["tie"]:
        return "tie"
    if _NO_CHOICE.match(match["rest"]):
        return None
    if match["letter"] == "A" and not _NO_ARTICLE.match(match["rest"]):
        return None
    return match["letter"]


def _rated(given: str, bare: bool = False) -> float | None:
    """The number in "8/10, since ..."; without "Rating:" it must be alone or out of 10."""
    match = _GIVEN.match(given)
    if match is None or _RANGE.match(match["rest"]) or _NO_RATING.match(match["rest"]):
        return None
    if match["most"] is None:
        if bare and match["rest"].strip(" .*_]\"'"):
            return None
    elif match["most"] not in ("10", "10.0"):
        return None
    value = float(Decimal(match["value"].replace(",", ".")))
    return value if 1.0 <= value <= 10.0 else None
