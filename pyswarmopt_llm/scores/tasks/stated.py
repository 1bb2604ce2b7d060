"""Finds the parts of a reply that state its answer.

A reply ends where it asks a question of its own, and after ``####``, GSM8K's marker (Cobbe et al.
2021, arXiv 2110.14168). In the rest, the last LaTeX ``\boxed{...}`` is most explicit, then the text
after ``####``, then after the last "the answer is", ``<answer>``, or a "Final answer" line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
_MARK = re.compile(
    r"(?im)(?:\b|_)(?:(?:(?<!wrong\s)(?<!incorrect\s)answers?|verdict|final\s+result|antwort|lösung|respuesta|resposta|réponse|risposta|ответ)(?:\s+(?:correct[ae]|finale?|here|(?:to|for)\s[^.:\n]{1,60}?))?"
    r"|(?:correct|right|best)\s+(?:option|choice))[*_\s\"']*"
    r"(?:(?:is|are|would\s+be|should\s+be|must\s+be|ist|lautet|es|est|è|é)\b\s*:?|[:=\uff1a](?:[*_]+(?=\s))?)(?:\s*(?:la|el)\b(?=\s+[A-Z]\b))?"
    r"|(?:答案|答え)[*_\s]*(?:[是为は]|[:\uff1a])"
    r"|^[ \t#>*_]*(?:(?:the|my)[ \t]+)?(?:(?:final|correct)[ \t]+)?answer[ \t*_]*$"  # a heading
    r"|<answer>"
)
# "#### Step 1: ..." and "#### 2. The price" are headings.
_HASHES = re.compile(
    r"####[ \t]*+(?:\n\s*+)?+(?![*_\s]*(?:(?:step|part|case|explanation|reasoning|analysis|calculations?"
    r"|verification|conclusion|summary|solution|(?:final\s+)?answer)\b|\d+[.)]\s+\D))(?P<answer>[^\n]+)",
    re.IGNORECASE,
)
# a further question; after a colon, a reply repeats its own
_NEXT_QUESTION = re.compile(
    r"(?im)([^:#*_\s][#*_\s]*)"
    r"(?:^[ \t#*_>]*(?:question|problem|exercise|instruction|human|user|q)\b[ \t]*[0-9]*[ \t]*[*_]*:"
    r"|^[ \t]*(?:let me know|feel free|would you like|do you want|(?:i )?hope (?:this|that|it))\b"
    r"(?=[^\n]*\s*\Z)(?!.*answer)"
    r"|<\|(?:im_start|im_end|endoftext|eot_id|user)\|>|\[INST\]|</s>)[\s\S]*"
)
# before another sentence, but not after "J." and "St.", or before a reason
_STATED = re.compile(
    r"(?<=[.!])(?<!\b[A-Z]\.)(?<!\b[A-Z][a-z]\.)\s+(?=\(?[A-Z])|\n\s*\n"
    r"|(?:,?\s+(?:because|since)|,\s+(?:as|while|whereas))\b"
)
_JSON = re.compile(r"\A(?:(.*?)\s*,\s*\"\w+\"\s*:.*|([^{]*?)[} ]*)\Z")  # the rest of an object
_BOX = re.compile(  # braces within: four deep
    r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*\})*)\}"
)

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_GROUP = re.compile(r"(?<=[\^_√])\{([^{}]*)\}")
_COMMANDS = {
    r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[!;:()\[\]]": "",
    r"\\(?:times|cdot|ast)(?![A-Za-z])": "×",
    r"\\[dt]?frac\s*([0-9])\s*([0-9])": r"\\frac{\1}{\2}",
    r"\\div(?![A-Za-z])": "÷",
    r"\\(?:approx|simeq)(?![A-Za-z])": "≈",
    r"\\pi(?![A-Za-z])": "π",
    r"\\sqrt(?![A-Za-z])": "√",
    r"\\leq?(?![A-Za-z])": "≤",
    r"\\geq?(?![A-Za-z])": "≥",
    r"\\infty(?![A-Za-z])": "∞",
    r"\^\{?\\circ\}?": "°",
    r"\\,|~": "\u2009",  # a thin space
    r"\{,\}": ",",
    r"(?<=[^\W\d_])_(?=[^\W\d_]{2})": " ",  # snake_case
    # pandoc's rule of $math$; what is left before a number is a currency
    r"\$\$|(?<!\\)\$(?=\S)([^$\n]*)(?<=\S)\$(?!\d)": r"\1",
    r"\b[A-Z]{1,2}\\?\$(?=[0-9])": " $",  # US$15
    r"\\?\$(?!\s?-?\.?[0-9])": "",
}


def without_thoughts(text: str) -> str:
    """A reply without its thoughts, those that its end cuts off included.

    Example:
        >>> without_thoughts("<think>Two and two...</think> Four."), without_thoughts("<think>Is it 4")
        (' Four.', '')
    """
    return text.rpartition("</think>")[2].partition("<think>")[0]


def own_part(text: str) -> str:
    """A reply without thoughts, and without further questions that a base model asks itself.

    Example:
        >>> own_part("Two and two. #### 4" + chr(10) * 2 + "Question: And three?" + chr(10) + "#### 7")
        'Two and two. #### 4'
    """
    text = _NEXT_QUESTION.sub(r"\1", without_thoughts(text))
    marked = _HASHES.search(text)
    if marked:
        text = text[: marked.end()]
    return text


def candidates(text: str) -> list[str]:
    """Parts of a reply that may be its answer, most explicit first, its `own_part` last.

    Example:
        >>> candidates("First A seems right. But the answer is B.")
        ['B.', 'First A seems right. But the answer is B.']
    """
    own = own_part(text)
    found = (*_BOX.findall(own)[-1:], *_HASHES.findall(own)[:1], _after_mark(own))
    return [*filter(None, map(str.strip, found)), own]


def plain(text: str) -> str:
    """A text without LaTeX commands around and in an answer.

    Example:
        >>> plain(r"$\\text{(E)}$"), plain(r"\\frac{a}{x^{12}}"), plain(r"\\$1{,}000")
        (' (E) ', ' a/(x^12) ', '$1,000')
    """
    for command, means in _COMMANDS.items():
        text = re.sub(command, means, text)
    if "\\" not in text and "{" not in text:
        return text
    for _ in range(3):  # \text{\mathbf{...}}, \frac{1}{\sqrt{2}}
        text = _WRAPPED.sub(r" \1 ", text)
        text = _GROUP.sub(lambda group: _operand(group[1]), text)
        text = _FRACTION.sub(lambda of: f" {of[1]}{_operand(of[2])}/{_operand(of[3])} ", text)
    return re.sub(r"\\(?=[A-Za-z]{2}|[^\sA-Za-z])", "", text)


def only(found: Iterable[T]) -> T | None:
    """The one value of several; None if they differ, or there are none.

    Example:
        >>> only("aa"), only("ab"), only("")
        ('a', None, None)
    """
    values = set(found)
    if len(values) == 1:
        return values.pop()
    return None


def _operand(text: str) -> str:
    """A group of LaTeX, in brackets if it consists of several signs."""
    text = text.strip()
    if re.fullmatch(r"[-√]*\w*", text):
        return text
    return f"({text})"


def statement(text: str) -> str:
    """The first sentence or paragraph of a text, without its reason.

    Example:
        >>> statement("Lima. It lies by the sea."), statement("Lima, as it lies by the sea.")
        ('Lima.', 'Lima')
    """
    return _STATED.split(text.strip(), maxsplit=1)[0]


def _after_mark(text: str) -> str:
    """The text after the last answer marker, up to the end of the line or tag; "" without any."""
    said = ["", *_MARK.split(text)[1:]][-1].partition("</answer>")[0]
    return _JSON.sub(r"\1\2", said.strip().partition("\n")[0])
