"""The house stands without the shed: no code of the packages, their tests or the site reads a file
of research/, and the site and the fast tier leave it out.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOUSE = ("pyswarmopt", "pyswarmopt_llm", "pyswarmopt_groups", "pyswarmopt_rivals", "benchmarks",
         "docs/tools", "examples", "tests")  # fmt: skip
# A path that is put together; a note named in a comment is none.
READS = re.compile(r"""["']research["']|open\(["']research/|import research\b|from research\b""")


def test_no_code_of_the_house_reads_the_shed() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for folder in HOUSE
        for path in sorted((ROOT / folder).rglob("*.py"))
        if READS.search(path.read_text(encoding="utf-8"))
    ]
    # Options named in sentences may be those of a script of the laboratory; mergekit's licence is not
    # ours, so the comparison with it is there.
    allowed = {f"tests/docs/test_{name}.py" for name in ("documentation", "figures", "shed")}
    assert set(readers) == {*allowed, "tests/rivals/methods/test_baselines_published.py"}
