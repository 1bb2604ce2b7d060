"""The one normalisation by which scores compare a written text with a reference."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_RULE = (
    "case and punctuation around words are ignored, signs, decimal points and C++ count; "
    "evaluate:squad has SQuAD's rule"
)
RULES = {"exact-match": _RULE, "f1": _RULE}  # metric -> what stands beside its score
_DASHES = re.compile(r"[\u2010-\u2013\ufe63\uff0d](?=\.?\d)|\u2212")
_QUOTES = str.maketrans("\u2018\u2019\u02bc\u201c\u201d", "'''\"\"")
_MEANT = "%#@&/\\_"  # punctuation to Unicode, but part of a word: 50%, C#, R&D, __init__
_RAISED = ("<super>", "<sub>", "<fraction>")  # 2² is not 22
_ABBREVIATION = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_SCRIPTS = (  # without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_PART = re.compile(f"[{_SCRIPTS}]|[^{_SCRIPTS}]+")
_ARTICLES = ("a", "an", "the")


def words(text: str) -> list[str]:
    """The words of a text, as ``exact-match``, ``f1`` and ``accuracy`` of written answers compare
    them.

    - Case and width are ignored (Unicode NFKC, case folding), but 2² is not 22.
    - Punctuation around a word goes, in any script: ¿Qué? is qué, 巴黎。 is 巴黎.
    - What carries meaning stays: the sign of -5, the point of .5 and 3.14, the ends of C++, C# and
      50%. A typographic minus is a minus, a typographic quote a quote; U.S. is us.
    - Of scripts without spaces each character is a word.

    Example:
        >>> words("¿Qué? The C++ of \u221212."), words("巴黎。")
        (['qué', 'the', 'c++', 'of', '-12'], ['巴', '黎'])
    """
    return _folded(_bare_words(text))


def comparable(reference: str, text: str) -> tuple[list[str], list[str]]:
    """The words of a reference and of a text, see `words`; if the reference is English prose (ASCII
    words of two letters or more, besides articles), without the articles of both.

    A capital A within a text is no article: "Vitamin A".

    Example:
        >>> comparable("Louvre", "the Louvre"), comparable("a + b", "b")
        ((['louvre'], ['louvre']), (['a', '+', 'b'], ['b']))
    """
    expected = _bare_words(reference)
    found = _bare_words(text)
    prose = _without_articles(expected)
    if prose and all(word.isascii() and word[0].isalnum() and word[1:] for word in prose):
        expected = prose
        found = _without_articles(found)
    return _folded(expected), _folded(found)


def same_words(reference: str, text: str) -> bool:
    """Whether a text has the words of a reference, see `comparable`.

    Example:
        >>> same_words("the Louvre", "Louvre."), same_words("3.14", "314"), same_words("Vitamin A", "vitamin")
        (True, False, False)
    """
    expected, found = comparable(reference, text)
    return expected == found


def _bare_words(text: str) -> list[str]:
    """The words of a text in their case, without punctuation around them."""
    plain = "".join(map(_plain, _DASHES.sub("-", text).translate(_QUOTES)))
    bare = map(_without_marks, unicodedata.normalize("NFC", plain).split())
    return [word for word in bare if word]


def _folded(parts: Sequence[str]) -> list[str]:
    """Words in lower case; unspaced scripts character by character."""
    return [part for word in parts for part in _PART.findall(word.casefold())]


def _without_articles(parts: Sequence[str]) -> list[str]:
    """Words without English articles, capital only at the start; the last word is none."""
    kept = []
    for place, word in enumerate(parts):
        article = word.lower() if place == 0 else word
        if article not in _ARTICLES or place == len(parts) - 1:
            kept.append(word)
    return kept


def _plain(letter: str) -> str:
    if unicodedata.decomposition(letter).startswith(_RAISED):
        return letter
    return unicodedata.normalize("NFKC", letter)


def _without_marks(word: str) -> str:
    """A word without the punctuation around it; "" if it is nothing else."""
    if all(map(_is_punctuation, word)):
        return ""
    while _is_mark(word[-1]):
        word = word[:-1]
    while _is_mark(word[0]) and not (word[0] in "-." and word[1:].lstrip(".")[:1].isdigit()):
        word = word[1:]
    return word.replace(".", "") if _ABBREVIATION.fullmatch(word) else word


def _is_punctuation(letter: str) -> bool:
    return letter == "`" or unicodedata.category(letter).startswith("P")


def _is_mark(letter: str) -> bool:
    return letter not in _MEANT and _is_punctuation(letter)
