"""The language of README, docs and the changelog's unreleased part: short sentences, plain headings,
the field's words, and no more pages than a user reads.
"""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest
from doc_blocks import FENCE, ROOT

DOCS = sorted((ROOT / "docs").rglob("*.md"))
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", CHANGELOG, *DOCS]
MOST_WORDS = 34_000  # by `wc -w`, tables and code included
LONGEST, MEDIAN, SEMICOLONS = 40, 14, 0.05
HEADING = re.compile(r"^#+ +(.+)$", flags=re.MULTILINE)
BAD_HEADING = re.compile(r"(?i)(?:what|where|how far|those)\b")
CLUMSY = (
    r"of which",
    r"one that",
    r"what (?:is|are|was|were)\b[^.?!:]*? (?:is|are|was|were)",
)
# Private word -> the field's. Code is not read: options, files and names are what they are.
PRIVATE = {
    r"items?": "example",
    r"hand(?:s|ed)? over": "return, save",
    r"rivals?": "baseline",
    r"laborator(?:y|ies)": "synthetic benchmark",
    r"spare (?:prompts?|ones)": "unlabelled training prompts",
    r"teachers?": "sampling mixtures",
    r"item model|models? of the (?:items|examples)": "GP surrogate of margins",
    r"models? of the scores": "GP surrogate of the metric",
    r"scores? of (?:your|one's) own|own scores?": "custom metric",
    r"proposals?": "surrogate candidate",
    r"crossings?": "starting point",
    r"utilit(?:y|ies)": "scoring function",
    r"engines?": "inference backend",
    r"walls?": "bounds",
    r"tickets?": "pending evaluation",
    r"(?:cut|cuts) to (?:a LoRA|its rank)": "SVD truncation",
    r"(?<!ECDF )area": "ECDF area",
    r"drop(?:s|ped)? out": "successive halving",
    r"that harms?": "harmful",
    r"without chance": "deterministic",
    r"few need": "advanced option",
    r"nobody|whoever": "name who",
}


# What a first reader did not understand in messages and pages -> what was written instead.
HARD = {
    r"correctness emergence": "new and lost examples",
    r"clearly behind": "worse, with the interval and p",
    r"nothing new to propose": "with the starting points",
    r"(?:above|within) chance": "better than guessing",
    r"goes \d+% of that way": "the three scores",
    r"of the weights lost": "differs by a share of its change",
    r"which are other searches": "which try other points",
    r"allow no descents": "the settings that run a swarm",
}


def unreleased(text: str) -> str:
    """The changelog's part that is still written."""
    return text.partition("## Unreleased\n")[2].partition("\n## ")[0]


def source(path: Path) -> str:
    """A page as it is written by hand: no code blocks, generated tables, comments, front matter."""
    text = path.read_text(encoding="utf-8")
    text = unreleased(text) if path == CHANGELOG else text
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = FENCE.sub("\n", text)
    text = re.sub(r"<!-- table: .*?<!-- end -->", "\n", text, flags=re.DOTALL)
    text = re.sub(r"\s*(?<!`)<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^( *)\$\$\n.*?\n *\$\$$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"`[^`]+`|\$[^$\n]+\$", "code", text)


def sentences(text: str) -> list[str]:
    """The sentences of paragraphs and of entries of lists; tables and headings have none."""
    found = []
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        entry = re.match(r" *(?:[-*]|\d+\.) +", line)
        if not line.strip() or entry or line.lstrip().startswith(("#", "|", ">")):
            found += _split(" ".join(paragraph))
            paragraph = []
        if line.strip() and not line.lstrip().startswith(("#", "|", ">")):
            paragraph.append(line[entry.end() :] if entry else line)
    return found


def _split(paragraph: str) -> list[str]:
    plain = " ".join(re.sub(r"[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}", "", paragraph).split())
    plain = re.sub(r"\b(et al|e\.g|i\.e|arXiv|vs|no)\.", r"\1", plain)
    return [one for one in re.split(r"(?<=[.!?])[)\"]?\s+(?=[(\"A-Z0-9]|code)", plain) if one]


def faults(text: str) -> list[str]:
    """Why a page is refused, one line for each place."""
    found = [f"heading: {one}" for one in HEADING.findall(text) if BAD_HEADING.match(one)]
    for one in sentences(text):
        if one.count(";") > 1:
            found.append(f"two semicolons: {one}")
        if len(one.split()) > LONGEST:
            found.append(f"{len(one.split())} words: {one}")
    plain = " ".join(text.split())
    for word in CLUMSY:
        found += [f"clumsy: {match[0]}" for match in re.finditer(rf"(?i)\b(?:{word})\b", plain)]
    for word, better in PRIVATE.items():
        found += [
            f"private: {plain[max(match.start() - 30, 0) : match.end() + 20]} (write: {better})"
            for match in re.finditer(rf"(?i)(?<![\w-])(?:{word})(?![\w-])", plain)
        ]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_written_plainly(page: Path) -> None:
    found = faults(source(page))
    assert not found, "\n".join(found)


def test_sentences_are_short_and_have_few_semicolons() -> None:
    found = [one for page in PAGES for one in sentences(source(page))]
    middle = median(len(one.split()) for one in found)
    share = sum(";" in one for one in found) / len(found)
    said = f"{len(found)} sentences, median {middle:g} words, semicolons in {share:.1%}"
    assert middle <= MEDIAN and share < SEMICOLONS, said


def test_the_documentation_has_at_most_thirty_thousand_words() -> None:
    words = {page: len(page.read_text(encoding="utf-8").split()) for page in DOCS}
    longest = sorted(words, key=lambda page: -words[page])[:5]
    said = ", ".join(f"{page.relative_to(ROOT)} {words[page]}" for page in longest)
    assert sum(words.values()) <= MOST_WORDS, f"{sum(words.values())} words: {said}"


def report_sentences() -> list[str]:
    """What reports and terminals say of invented results, without tables, commands and code."""
    golden = (ROOT / "tests" / "frozen" / "sentences.txt").read_text(encoding="utf-8")
    code = re.compile(r"swarm-llm |hf upload |[┏┃┡│└]|== |from |base = |tokenizer = |model = |\s|$")
    return [line for line in golden.splitlines() if not code.match(line.partition(": ")[2] or line)]


def test_reports_and_help_are_written_in_the_fields_words() -> None:
    """As pages are; the names of options and files stay."""
    said = report_sentences()
    assert len(said) > 200
    found = [f"{line}: {one}" for line in said for one in faults(line) if one.startswith("private")]
    helps = (ROOT / "tests" / "frozen").glob("*.help.txt")
    texts = [*said, *(file.read_text(encoding="utf-8") for file in helps)]
    texts += [source(page) for page in PAGES]
    for word, better in HARD.items():
        found += [f"{word} (write: {better})" for text in texts if re.search(rf"(?i){word}", text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("## What it does\n", "heading: What it does"),
        ("Those that lie\n", ""),
        ("## Those that lie\n", "heading"),
        ("One; two; three.\n", "two semicolons"),
        (f"{'word ' * 40}end.\n", "41 words"),
        (f"{'word ' * 30}end. {'Word ' * 30}end.\n", ""),
        (f"- {'word ' * 30}end\n- {'word ' * 30}end\n", ""),
        ("Ten, of which two fail.\n", "clumsy: of which"),
        ("| a | What is kept is saved |\n", "clumsy: What is kept is"),
        ("The best is handed\nover.\n", "private"),
        ("Every item counts.\n", "private"),
        ("`item_evaluations` counts `items`.\n", ""),
        ("<!-- table: t -->\n| items |\n<!-- end -->\n", ""),
        ("```text\n500 items; one; two\n```\n", ""),
    ],
)
def test_the_linter_finds_what_it_is_for(text: str, fault: str, tmp_path: Path) -> None:
    page = tmp_path / "p.md"
    page.write_text(text)
    found = faults(source(page))
    assert len(found) == bool(fault) and fault in "".join(found)


def test_only_the_unreleased_part_of_the_changelog_is_read() -> None:
    assert unreleased("# C\n\n## Unreleased\n\nNew.\n\n## 1.0\n\nOld.\n").strip() == "New."
