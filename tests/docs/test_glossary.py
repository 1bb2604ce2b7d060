"""One noun for one thing: the glossary's words are explained once, and retired ones do not come back."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RETIRED = ("foretell", "foretold", "foretells", "flown", "nursery", "clerk", "bothered")
SOURCES = [*(ROOT / "pyswarmopt").rglob("*.py"), *(ROOT / "pyswarmopt_llm").rglob("*.py"), ROOT / "README.md",
           *(ROOT / "docs").rglob("*.md")]  # fmt: skip


def test_the_glossary_explains_each_word_once() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [word for cell in re.findall(r"^\| ([^|]+) \|", text, flags=re.MULTILINE) for word in cell.split(", ")]
    twice = {word for word, n in Counter(words).items() if n > 1} - {"word", "---"}
    assert len(words) > 40 and not twice


@pytest.mark.parametrize("word", RETIRED)
def test_retired_words_stay_away(word: str) -> None:
    found = [str(path.relative_to(ROOT)) for path in SOURCES if re.search(rf"(?i)\b{word}\b", path.read_text())]
    assert not found
