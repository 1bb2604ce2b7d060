"""Verdicts in replies: yes or no, true or false; the better of two replies; a rating from 1 to 10.

An unclear reply gives None, never a guess.
"""

from __future__ import annotations

import re

from pyswarmopt_llm.scores.tasks.stated import candidates, only, plain, without_thoughts

VERDICTS = ("yes", "no", "true", "false", "maybe")

_UNSAID = re.compile(  # "yes or no", "no doubt"
    r"\b(?:yes|no|true|false)\s*(?:/|,?\s*(?:or|and))\s*(?:yes|no|true|false)\b"
    r"|\bno\s+(?:one|idea|answer|evidence|information|doubt|problem|worries|wonder|need|matter|question|longer|way\s+to\s+(?:know|tell))\b"
    r"|\b(?:is|are|was|were|has|have|had|with)\s+no(?=\s+[a-z])|\bwould\s+be\s+(?:true|false)\s+(?:if|only)\b"
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bcannot|\bhardly)\s+(?:be\s+|say\s+|really\s+|quite\s+|entirely\s+|actually\s+|necessarily\s+|strictly\s+)?(?:true|false|yes|no)\b"
    r"|\b(?:absolutely|certainly|definitely|of course)\s+not\b"
)

_START = r"(?:\A|\n|[.!?]\s)[\W_]{0,20}?"  # of a text, a line, a sentence
_WHY = "because|since|as|by|for|over|due|with|based|given"  # words that begin a reason
_VALUE = r"(?P<value>[0-9]{1,2}(?:[.,][0-9]+)?)"
_SCALE = r"(?:[*_\s\]]*(?:/|out of)[*_\s]*(?P<most>[0-9]+))?"
# "Rating (1-10): **8**/10", '"rating": 8', "The score is 7"; "8/10" or "8" without these words
_RATING = re.compile(
    rf"(?:{_START}(?:(?:the|my)\s+)?(?:(?:overall|final)\s+)?(?:rating|score)(?:\s*[(\[][^()\n]{{0,20}}[)\]])?"
    rf"[*_\s\"]*(?:[:=-]|\bis\b)|\A(?=[\W_]*[0-9.,]+[*_\s\]]*(?:/|out of)|[\W\d_]*\Z))"
    rf"[*_\s\[\"']*{_VALUE}{_SCALE}"
    # "10/10 is what the reply demands" is no rating; a reason or a new sentence may follow one
    rf"[*_\s\]]*+(?![0-9%/]|[-\u2013]\s*[0-9]|(?-i:(?!(?:{_WHY})\b)[a-z])"
    r"|,?\s*(?:as|since|because)\s+(?:the\s+)?(?:reply|response|answer|it)\s+"
    r"(?:demands|requests|asks|orders|instructs|insists|says|wants|requires)\b)",
    re.IGNORECASE,
)
_REPLY = r"(?i:(?:the\s+)?(?:reply|answer|response|option|assistant)?)\s*"
_CLOSED = r"[*_)\]\"']*"
_STATED = re.compile(  # [[A]] as in MT-Bench (Zheng et al. 2023, arXiv 2306.05685), "Better: A"
    rf"\[\[(?P<marked>[ABC])\]\]|{_START}(?i:(?:the\s+)?better(?:\s+(?:reply|answer|response|one))?|winner|i\s+prefer)[*_\"]*"
    r"\s*(?:[:=-]|\b(?i:is)\b|(?<=prefer))[*_\s\"(\[]*(?:(?i:(?:a\s+)?(?P<tie>tied?|neither|both|equal)\b)"
    # A is a side, a is an article
    rf"|{_REPLY}[*_(\[]*(?!.{_CLOSED}\s+(?:is|was)\s+(?:what|how|the\s+(?:order|demand|instruction|request))\b)"
    rf"(?P<letter>B(?![\w'\u2019]|\s+(?:or|and)\b)|A(?={_CLOSED}\s*(?:$|[^\w\s'\u2019]|\n|(?:is|{_WHY})\b))))"
)
_ALONE = re.compile(
    rf"\A[\W_]*(?:{_REPLY}(?P<letter>[AB]){_CLOSED}(?:[.!:,;]|\n|$)(?!.*(?<!\w)[AB](?:[:)]|\s*\Z))"
    r"|(?i:(?:it(?:'s| is) )?(?:a )?(?P<tie>tie)\b))",
    re.DOTALL,
)


def spoken_verdict(text: str) -> str | None:
    """The verdict of a reply (yes, no, true, false or maybe); None if there is none, or several.

    Text marked as the answer decides, then the first word, then the only verdict in the reply.

    Example:
        >>> spoken_verdict("Yes or no? Let me see. #### no"), spoken_verdict("That is not true.")
        ('no', None)
    """
    found = map(_verdict, map(plain, candidates(text)))
    return next(filter(None, found), None)


def preferred(text: str) -> str | None:
    """The reply that a judge prefers, "A" or "B", or "tie"; None if unclear.

    "Better: A" or "[[A]]" decides, at the start of the text or else as the only one; then a text that
    begins with A, B or tie alone.

    Example:
        >>> preferred("Better: B. A is too long."), preferred("Better: tie"), preferred("Both!")
        ('B', 'tie', None)
    """
    text = without_thoughts(text).strip(" \t\r\n*_")
    first = _STATED.match(text)
    if first and not first["marked"]:
        return _side(first)
    return only(map(_side, _STATED.finditer(text))) or only(map(_side, _ALONE.finditer(text)))


def rating(text: str) -> float | None:
    """A judge's rating from 1 to 10; None if there is none, several, or one on another scale.

    It follows the word rating or score, or begins the text.

    Example:
        >>> rating("Rating (1-10): 8/10"), rating("Rating: 4/5"), rating("Rating: -3/10")
        (8.0, None, None)
    """
    text = without_thoughts(text).strip(' \t\r\n*_{"')
    first = _RATING.match(text)
    if first:
        return _rated(first)
    return only(map(_rated, _RATING.finditer(text)))


def _verdict(text: str) -> str | None:
    words = _UNSAID.sub(" ", text.casefold().replace("\u2019", "'"))
    said = "|".join(VERDICTS)
    # not of "Yes... wait, no"
    first = re.match(rf"[\W_]*({said})(?![a-z])(?!.*\b(?:wait|actually)\b.*\b(?:{said})\b)", words)
    if first:
        return first[1]
    if _DENIED.search(words):
        return None
    return only(re.findall(rf"\b(?:{said})\b", words))


def _side(match: re.Match[str]) -> str:
    """The side that a match names."""
    side = match[match.lastgroup or 0]
    return side if side in ("A", "B") else "tie"


def _rated(match: re.Match[str]) -> float | None:
    """The number of a match, if it is one of 1 to 10."""
    value = float(match["value"].replace(",", "."))
    if match["most"] in (None, "10") and 1.0 <= value <= 10.0:
        return value
    return None
