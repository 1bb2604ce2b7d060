"""The files that the README names are in a checkout."""

from __future__ import annotations

import re

from doc_blocks import ROOT


def test_the_files_that_the_readme_names_are_in_a_checkout() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w./-])((?:examples|docs|research)/[\w./*-]+)", text)
    assert len(paths) > 15
    for path in paths:
        assert list(ROOT.glob(path.rstrip("."))), path
