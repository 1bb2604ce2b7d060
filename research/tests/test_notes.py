"""The notes: their links lead somewhere, their commands name scripts and options that exist, and the
index has a line for each.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from doc_blocks import ROOT, blocks, wrong_script
from laboratory import removed

RESEARCH = ROOT / "research"
SCRIPTS = (RESEARCH / "benchmarks", RESEARCH / "tools")
PAGES = [RESEARCH / "README.md", *sorted((RESEARCH / "notes").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_and_their_options_exist(page: Path) -> None:
    """Commands of the programs themselves are those of a note's day."""
    for block in blocks(page):
        if block.language != "bash":
            continue
        for line in block.text.replace("\\\n", "").splitlines():
            words = shlex.split(line.replace("...", ""), comments=True)
            if words[:1] == ["python"] and not words[1].startswith("-"):
                assert words[1] in gone(page) or not wrong_script(words[1:]), str(block)


def gone(page: Path) -> set[str]:
    """The scripts of research/ that a page names and that are not there."""
    named = re.findall(r"research/(?:benchmarks|tools|tests)/[\w/]+\.py", page.read_text("utf-8"))
    return {name for name in named if not (ROOT / name).is_file()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_with_a_deleted_script_names_the_commit_that_has_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    there = [files for commit, files in removed().items() if f"`{commit}`" in text]
    assert gone(page) <= set().union(*there) or not any(removed().values())


def test_the_index_has_a_line_for_each_note() -> None:
    index = (RESEARCH / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(notes/([\w-]+\.md)\)", index)
    assert sorted(listed) == [page.name for page in PAGES[1:]]


def imported(scripts: set[str]) -> set[str]:
    """The scripts that these import, and those, by name."""
    files = {path.stem: path for folder in SCRIPTS for path in folder.rglob("*.py")}
    todo, found = list(scripts), set(scripts)
    while todo:
        text = files[todo.pop()].read_text(encoding="utf-8")
        beside = set(re.findall(r"^ *(?:import|from) (\w+)", text, re.MULTILINE)) & set(files)
        todo += beside - found
        found |= beside
    return found


def test_every_script_serves_a_page_of_the_index() -> None:
    index = (RESEARCH / "README.md").read_text(encoding="utf-8")
    scripts = {path.stem for folder in SCRIPTS for path in folder.rglob("*.py")}
    named = {Path(name).stem for name in re.findall(r"`([\w/]+\.py)`", index)} & scripts
    assert imported(named) == scripts
