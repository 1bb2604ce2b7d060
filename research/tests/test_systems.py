"""The table of the papers' systems: all rows are there, what a row names exists, and its figures
stand on the page that it links to.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from laboratory import REMOVED, removed

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "research" / "notes"
PAGE = NOTES / "systems.md"
TEXT = PAGE.read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| \d+ \|", line)
]
NAMED = re.compile(r"`([^`]+)`(†?)")  # marked if it was deleted
LINKED = re.compile(r"\[([^\]]+)\](?:\(([^)]+)\)|\[(\w+)\])")
TARGETS = dict(re.findall(r"^\[(\w+)\]: (\S+)$", TEXT, flags=re.MULTILINE))
# how a page says where its outcomes are
OUTCOMES = re.compile(r"\]\((?:\.\./)*evidence/[\w.-]+\)|<!-- table: |no outcomes kept")
LIMIT = "none: a limit"
MEASURED_ON = ("135M", "laboratory", "program", "arithmetic")  # what says most comes first
NUMBER = re.compile(r"(?<![\w.])\d*\.\d{2,}(?!\w)")
WHOLE = re.compile(
    r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d{3,})(?![\w.,]*\d)"
    r"(?! (?:questions|examples|near ties))"  # how many were asked stands in text
)
# a row of a table, or a figure that a test compares with one
CELLS = re.compile(r"^\|.*$|[\d.,]+<!-- cell: .*?-->", re.MULTILINE)
# what research/tools/tables.py writes from outcomes, and a test compares with them
WRITTEN = re.compile(r"<!-- table: .*?<!-- end -->|[\d.,]+<!-- cell: .*?-->", re.DOTALL)


def named(cell: str) -> list[str]:
    """What stands in backticks and is not marked as deleted."""
    return [name for name, mark in NAMED.findall(cell) if not mark]


def deleted(cell: str) -> list[str]:
    """What stands in backticks and is marked as deleted."""
    return [name for name, mark in NAMED.findall(cell) if mark]


def figures(cell: str) -> list[tuple[str, Path, str]]:
    """The links of a cell: text, page and anchor."""
    links = []
    for text, target, name in LINKED.findall(cell):
        page, _, anchor = (target or TARGETS[name]).partition("#")
        links.append((text, NOTES / page, anchor))
    return links


@cache
def text_of(page: Path, commit: str = "") -> str:
    """A page, or what it was at a commit: nothing where the repository came without its history."""
    if not commit:
        return page.read_text(encoding="utf-8")
    name = page.resolve().relative_to(ROOT)
    command = ["git", "show", f"{commit}:{name}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


@cache
def section(page: Path, anchor: str, commit: str = "") -> str:
    """The part of a page under a heading, up to the next heading of its level; without an anchor
    all of it.
    """
    lines = text_of(page, commit).splitlines()
    if not anchor or not lines:
        return "\n".join(lines)
    for start, line in enumerate(lines):
        heading = re.match(r"(#+) (.*)", line)
        if heading is None:
            continue
        words = re.sub(r"[^\w\- ]", "", heading[2].lower()).strip()
        if words.replace(" ", "-") == anchor:
            rest = lines[start + 1 :]
            higher = re.compile(rf"#{{1,{len(heading[1])}}} ")
            ends = [i for i, text in enumerate(rest) if higher.match(text)]
            return "\n".join(rest[: ends[0]] if ends else rest)
    assert commit, f"{page.name} has no heading {anchor}"
    return ""


def test_every_system_of_the_audit_has_a_row() -> None:
    joined = (11, 62, 141)  # with 8 and 116, which said the same
    numbers = [number for number in range(1, 147) if number not in joined]
    assert [int(row[0]) for row in ROWS] == numbers


def test_files_and_tests_exist_and_every_row_has_a_figure_or_a_reason() -> None:
    for row in ROWS:
        check_row(*row)


def check_row(
    row: str, system: str, files: str, tests: str, figure: str, measured_on: str, departure: str
) -> None:
    assert system and figure and departure, row
    assert set(measured_on.split(", ")) <= {*MEASURED_ON, "nothing"}, row
    written = bool(named(files) + deleted(files))
    assert written == bool(named(tests) + deleted(tests)), row
    assert written or re.match(r"none: (not written|not run|a limit)", figure), row
    for name in named(files):
        assert any((folder / name).is_file() for folder in (ROOT, ROOT / "pyswarmopt_llm")), name
    for name in named(tests):
        assert any((folder / name).is_file() for folder in (ROOT, ROOT / "tests")), name
    # a script that is there no more, its test
    assert bool(deleted(tests)) >= bool(deleted(files)), row
    for name in (*deleted(files), *(f"research/tests/{name}" for name in deleted(tests))):
        assert not (ROOT / name).exists(), name
        assert any(name in files or not files for files in removed().values()), name
    assert bool(figures(figure)) != bool(re.match(r"none: \w", figure)), row
    if measured_on != "nothing":
        assert all(re.search(r"\d", text) for text, _, _ in figures(figure)), (
            f"{row}: a link says nothing"
        )


def test_a_figure_has_a_page() -> None:
    for row in ROWS:
        assert row[4].startswith("none") or not NUMBER.findall(LINKED.sub("", row[4])), row[0]


def cells(text: str, tables: re.Pattern[str]) -> set[str]:
    """The figures that are cells of a text's tables, without ends of intervals."""
    found: set[str] = set()
    for table in tables.findall(text):
        for cell in re.sub(r"\[[^\]]*\]|<!--.*?-->", "", table).split("|"):
            found |= {*NUMBER.findall(cell), *WHOLE.findall(cell)}
    return found


def missing(row: list[str]) -> list[str]:
    """The decimals and large numbers of a row that are no cell of where it links to, or were never
    written from outcomes: neither today nor at the commit that has the writers that were deleted.
    """
    lost: list[str] = []
    for text, page, anchor in figures(row[4]):
        wanted = {*NUMBER.findall(text), *WHOLE.findall(text)}
        lost += wanted - cells(section(page, anchor), CELLS)
        if any(removed().values()):
            for commit in ("", *REMOVED):
                wanted -= cells(section(page, anchor, commit), WRITTEN)
            lost += wanted
    return lost


def test_each_figure_is_or_was_written_from_outcomes() -> None:
    assert {row[0]: lost for row in ROWS if (lost := missing(row))} == {}


def test_a_commit_that_a_page_names_has_a_tag_in_the_release_page() -> None:
    """A wheel or a shallow clone has no commits."""
    release = (ROOT / "docs" / "how-to" / "release.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w.-]+)` \| `([0-9a-f]{8})` \|", release, re.MULTILINE))
    assert len(listed) == len({*listed.values()})
    pages = [*NOTES.glob("*.md"), ROOT / "research" / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        commit
        for page in pages
        for commit in re.findall(r"`([0-9a-f]{8})`", page.read_text(encoding="utf-8"))
        if re.search(r"\d", commit) and re.search("[a-f]", commit)
    }
    assert named <= {*listed.values()}


PAGES = sorted({page for row in ROWS for _, page, _ in figures(row[4]) if ".." not in page.parts})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_of_figures_say_where_their_outcomes_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert OUTCOMES.search(text)
    for name in re.findall(r"\]\((?:\.\./)*(evidence/[\w.-]+)\)", text):
        assert (ROOT / "research" / name).is_file(), name


def numbers(text: str) -> list[str]:
    """The numbers of a list of rows in a sentence: `1, 4 to 6 and 9`."""
    rows: list[str] = []
    for first, last in re.findall(r"(\d+)(?:\s+to\s+(\d+))?", text):
        rows += map(str, range(int(first), int(last or first) + 1))
    return rows


def test_the_page_lists_the_rows_that_lack_something() -> None:
    """By the words that it explains: `none:`, `weak:` and `part:`; what is a limit apart."""
    outside = {row[0] for row in ROWS if row[4].startswith(LIMIT)}
    lacking = {
        "none": {row[0] for row in ROWS if row[4].startswith("none:")} - outside,
        "weak": {row[0] for row in ROWS if row[4].startswith("weak:")},
        "part": {row[0] for row in ROWS if row[6].startswith("part:")} - outside,
    }
    for word, rows in lacking.items():
        (sentence,) = re.findall(
            rf"^- `{word}:` (?:.*\n)*?.*rows ([\d, toand\n]+)\.$", TEXT, re.MULTILINE
        )
        assert set(numbers(sentence)) == rows, word
    (sentence,) = re.findall(r"is a limit of this machine:\*\* row ([\d, toand\n]+)\.", TEXT)
    assert set(numbers(sentence)) == outside
    short = set().union(*lacking.values())
    count = len(ROWS) - len(outside) - len(short)
    assert f"**{count} of {len(ROWS)} rows**" in TEXT
    standing = [row for row in ROWS if row[0] not in outside | short]
    early = len([row for row in standing if int(row[0]) <= 130])
    assert f"({early} of the first 130)" in TEXT
    assert all(f"`{commit}`" in TEXT for commit in REMOVED)
    untested = len([row for row in standing if not named(row[3])])
    assert f"tests of {untested} of them" in TEXT
    away = [row for row in ROWS if not named(row[2])]
    assert f"code of {len(away)} rows is not in\nthis tree" in TEXT
    assert all(
        re.search(r"; (its code is not in this tree|there is no code)$", row[6]) for row in away
    )
    places = Counter(figures(row[4])[0][1:] for row in standing)
    shared = sum(count for count in places.values() if count > 1)
    assert f"{shared} of the {count} have" in TEXT
    paper = (ROOT / "docs" / "explanation" / "paper.md").read_text(encoding="utf-8")
    assert f"{len(ROWS)} systems, {count} are tested ({untested} at an earlier commit)" in paper
    assert f"**{len(outside)} is a limit of this machine:**" in TEXT
    counts = dict.fromkeys((*MEASURED_ON, "nothing"), 0)
    for row in standing:
        kinds = row[5].split(", ")
        counts[next(kind for kind in counts if kind in kinds)] += 1
    (sentence,) = re.findall(rf"Of the {count} rows ([^.]+)\.", TEXT)
    assert [int(n) for n in re.findall(r"\b\d+\b(?!M)", sentence)] == list(counts.values())
