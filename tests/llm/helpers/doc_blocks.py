"""The fenced blocks of the documentation, and the words that a shell makes of their commands,
without running them.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[3]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$",
    flags=re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"(?:\]\(|^\[\w+\]: )([^)\s]+)", flags=re.MULTILINE)
# in docs/reference, by docs/tools/site.py
GENERATED = ("command-line.md", "pyswarmopt.md", "pyswarmopt-modules.md", "pyswarmopt_llm.md")
MARK = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language (and file name), its text, and why it is not
    run, if so.
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    skipped: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block, after the shell has expanded variables, patterns and continued
    lines.
    """

    block: Block
    folder: Path
    words: tuple[str, ...]


def pages() -> list[Path]:
    """All Markdown that a reader may follow."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    return [
        *top,
        *sorted((ROOT / "docs").rglob("*.md")),
        ROOT / "examples" / "objectives" / "README.md",
    ]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        mark = MARK.search(text[: found.start()])
        language, _, more = found["info"].strip().partition(" ")
        title = re.search(r'title="([^"]+)"', more)
        yield Block(
            str(page.relative_to(ROOT)),
            text[: found.start()].count("\n") + 1,
            language,
            title[1] if title else "",
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            mark["reason"] if mark else "",
        )


def commands(shell_blocks: Sequence[Block], world: Path, programs: Sequence[str]) -> list[Command]:
    """What the blocks of one page would run, one after the other in one shell.

    The shell finds none but stand-ins of `programs`, which write down how they were called.

    Args:
        shell_blocks: of one page.
        world: where they are run.
        programs: the programs that the documentation may name.
    """
    folder = world / ".stand-ins"
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    for name in ("next-block", *programs):
        path = folder / name
        path.write_text(f'#!/bin/bash\nprintf "%s\\0" "$PWD" {name} "$@" $\'\\1\' >> {log}\n')
        path.chmod(0o755)
    log.write_text("")
    script = "set -eu\n" + "".join(f"next-block\n{block.text}\n" for block in shell_blocks)
    environment = {**os.environ, "PATH": str(folder)}
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=world,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{shell_blocks[0].page}: {done.stderr}"
    found, at = [], -1
    for call in log.read_text(encoding="utf-8").split("\0\1\0")[:-1]:
        where, *words = call.split("\0")
        if words[0] == "next-block":
            at += 1
        else:
            found.append(Command(shell_blocks[at], Path(where), tuple(words)))
    return found


def wrong_script(words: Sequence[str]) -> str:
    """Why a Python script, or a module after ``-m``, could not be run with these options: it or an
    option does not exist.
    """
    if words[0] == "-m":
        found = find_spec(words[1])
        script = Path(found.origin or "") if found else Path()
    else:
        script = ROOT / words[0]
    if not script.is_file():
        return f"no {' '.join(words)}"
    nodes = [*ast.walk(ast.parse(script.read_text()))]
    imported = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    # beside it or in a folder beside its own, with the options that several scripts have
    for folder in (script.parent, *filter(Path.is_dir, script.parents[1].iterdir())):
        for file in filter(Path.is_file, (folder / f"{name}.py" for name in imported)):
            nodes += ast.walk(ast.parse(file.read_text()))
    known = {node.value for node in nodes if isinstance(node, ast.Constant)}
    missing = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    return f"{script.name} has no {missing}" if missing else ""


def broken_links(page: Path) -> list[str]:
    """The links of a page to files or headings that do not exist."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(text) if not _leads_somewhere(page, target)]


def _leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    reference = ROOT / "docs" / "reference"
    if "://" in target or file in [reference / name for name in GENERATED]:
        return True
    if not file.exists():
        return False
    if not anchor or file.suffix != ".md":
        return True
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return anchor in {slug(heading) for heading in headings}


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and Python-Markdown both make it of plain words."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower()).strip()
    return re.sub(r"[\s]+", "-", plain)
