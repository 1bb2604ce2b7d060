"""The normalisation that scores use to compare a written text with a reference."""

from __future__ import annotations

import re
import unicodedata

_TWINS = str.maketrans(
    "‐‑‒–−‘’‚‛ʼʻ´′“”„«»‹›″º˚×÷♯♭İЁёکی٪٫٬∕⁄∶—―",
    "-----''''''''\"\"\"\"\"\"\"\"°°x/#bIЕеكي%.,//:  ",
    # gone: some brackets; signs without width; an Arabic stroke, and vowel points, which are optional
    "「」『』《》〈〉【】\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u061c\ufe0e\ufe0f\ufeff"
    "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670\u0640"
    "\u05b0\u05b1\u05b2\u05b3\u05b4\u05b5\u05b6\u05b7\u05b8\u05b9\u05ba\u05bb\u05bc\u05bd\u05bf\u05c1\u05c2\u05c7",
)
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴-⁹ⁿ]+(?![⁰¹²³⁴-⁻ⁿ])")  # 2² is 2^2, but Ca²⁺ is Ca2+
_FRACTION = re.compile(r"(?<=\d)(?=[¼-¾⅐-⅞])")  # 2½ is 2 1/2
_LETTER = r"[^\W\d_]"
_ABBREVIATION = re.compile(  # U.S., Ph.D
    rf"\b(?:(?:{_LETTER}{{1,2}}\.){{2,}}|(?:[A-Z][a-z]?\.)+[A-Z]\b)"
)
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_QUOTED = r"(?<!\w)(\*{1,3}|[\"'`$]|_(?!_))(?=\S)(.+?)(?<=\S)\1(?!\w)"
_REWRITTEN = {
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "→": "->",
    r"(?<=\d)\s*[*x]\s*(?=\d)": "x",
    r"(?<=\d)\s+:\s+(?=\d)": ":",
    r",\s+(?=[^()\[\]{}]*[)\]}])": ",",  # (0, 1) is (0,1)
    r"(?<=\d)[, ](?=\d{3}(?!\d))": "",  # 1,000
    r"```(?:\w*(?=\n))?|\^(?=\d*[+-](?![\w(]))": "",  # a block of code; Ca^2+
    r"(?i)\b(n)°": r"\1o",
    r"\^[({]([-+]?\w+)[)}]": r"^\1",
    rf"(?i)\b(\d\d?)(?:st|nd|rd|th)?(?: of)? ({MONTHS})\b": r"\2 \1",  # 4 July is July 4
    rf"(?i)\b({MONTHS}) (\d\d?)(?:st|nd|rd|th)\b": r"\1 \2",
    rf"(?m)^\s*[-*#>]+\s+(?={_LETTER}{{2}})": "",  # a bullet
    rf"(?<={_LETTER})(?<!\b[Aa])\s*-\s*(?={_LETTER}{{2}})": " ",  # A-team is no article
    _QUOTED: r"\2",
    r"(?<!\S)[(\[]([^()\[\],;]+)[)\]](?![^\s.,;:!?])": r"\1",
    # 1,2,3 and red,blue are lists
    rf"(?<={_LETTER})[,;](?={_LETTER})|(?<=\d),(?=\d+,\d)|(?<=,\d),(?=\d)|(?<=,\d\d),(?=\d)": " ",
}
_OPENING = '¿¡"•'
_CLOSING = "།.,;:!?。、・؟،؛۔।॥։።။។•"
_SCRIPTS = (  # without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_PART = re.compile(f"[{_SCRIPTS}]|[^{_SCRIPTS}\\s]+")
# blanks that stand neither between two words nor between two numbers
_LOOSE = re.compile(
    rf"(?<!{_LETTER}) (?!\d)|(?<!\d) (?!{_LETTER})|(?<=\b{_LETTER}) (?={_LETTER}\b)"
)
_ENCLOSED = re.compile(r"^\s*\\?[(\[{]([^()\[\]{}]+?)\\?[)\]}][.\s]*$")
_ARTICLE = re.compile(r"(?:^[\s\"]*(?i:an?|the)|(?<=\s)(?:an?|the))\s+(?=\w)")


def words(text: str) -> list[str]:
    """The words of a text, as ``exact-match``, ``f1`` and ``accuracy`` of free-form answers compare
    them.

    - Case, width and typography are ignored (Unicode NFKC, case folding): − is -, ’ is ', ≤ is <=,
      ٤٢ is 42, 2² is 2^2, ½ is 1/2, 1,000 is 1000, U.S. is us.
    - Quotes, brackets and LaTeX's $ around words go, as do Markdown, bullets, hyphens between
      words, and sentence punctuation after words; red,green is a list.
    - 4 July and July 4th are July 4.
    - All else counts: -5, .5, $5, 5%, 6', A*, C++. A text of nothing but punctuation is kept.
    - Of scripts without spaces each character is a word.

    Example:
        >>> words("¿Qué? The **C++** of \u221212."), words("巴黎。")
        (['qué', 'the', 'c++', 'of', '-12'], ['巴', '黎'])
    """
    return _split(_plain(text))


def comparable(reference: str, text: str) -> tuple[list[str], list[str]]:
    """The words of a reference and of a text, see `words`; if the reference is English prose (ASCII
    words of two letters or more, besides articles), without the articles of both.

    A capital A within a text is not an article: "Vitamin A". Brackets around the whole text go
    unless the reference begins with one.

    Example:
        >>> comparable("Louvre", "the Louvre"), comparable("a + b", "b")
        ((['louvre'], ['louvre']), (['a', '+', 'b'], ['b']))
    """
    if reference[:1] not in "([{\\":
        text = _ENCLOSED.sub(r"\1", text)
    expected = _plain(reference)
    found = _plain(text)
    prose = _ARTICLE.sub("", expected)
    if all(word.isascii() and word[0].isalnum() and word[1:] for word in _split(prose)):
        expected = prose
        found = _ARTICLE.sub("", found)
    return _split(expected), _split(found)


def same_words(reference: str, text: str) -> bool:
    """Whether a text has the words of a reference, see `comparable`; blanks beside a sign, and
    between a number and its unit, are ignored.

    Example:
        >>> same_words("the Louvre", "Louvre."), same_words("- 5 kg", "-5kg"), same_words("-5", "5")
        (True, True, False)
    """
    expected, found = (_LOOSE.sub("", " ".join(part)) for part in comparable(reference, text))
    return expected == found


def typography(text: str) -> str:
    """A text as a plain keyboard writes it, without invisible characters.

    Example:
        >>> typography("\u22122½ m²"), typography("５\u200b ℃"), typography("Ca²⁺ ٤")
        ('-2 1/2 m^2', '5 °C', 'Ca2+ 4')
    """
    plain = _RAISED.sub(r"^\g<0>", _FRACTION.sub(" ", text.translate(_TWINS)))
    plain = unicodedata.normalize("NFKC", plain).translate(_TWINS)
    return re.sub(r"[^\D0-9]", lambda digit: str(int(digit[0])), plain)


def _plain(text: str) -> str:
    """A text in plain typography, without quotes and brackets around words."""
    plain = _ABBREVIATION.sub(lambda short: short[0].replace(".", ""), typography(text))
    for written, read in _REWRITTEN.items():
        plain = re.sub(written, read, plain)
    return re.sub(_QUOTED, r"\2", plain)  # a quote within another


def _split(plain: str) -> list[str]:
    """The words of a plain text, without punctuation at their ends."""
    bare = (word.lstrip(_OPENING).rstrip(_CLOSING) for word in _PART.findall(plain.casefold()))
    return [word for word in bare if word] or plain.split()
