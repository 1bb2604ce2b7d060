"""The glossary explains each word once; errors in troubleshooting are the code's."""

from __future__ import annotations

import re

from doc_blocks import ROOT


def test_each_error_in_troubleshooting_ends_as_one_in_the_code() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "pyswarmopt_llm").rglob("*.py"))
    )
    # strings that go on in the next line
    joined = re.sub(r"\"\s*\n\s*f?\"|'\s*\n\s*f?\"|\"\s*\n\s*f?'", "", source)
    page = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^> `error: (.+)`$", page, flags=re.MULTILINE)
    assert len(messages) >= 10
    for message in messages:
        ending = re.split(r"; |(?<=: )(?=install the extra )", message)[-1]
        ending = re.split(r"(?<=: --columns )", ending)[0].replace(
            'the extra "text"', 'the extra "'
        )
        # the one or the other, as columns are missing
        ending = re.sub(r"^name (it|them)(?=: --columns )", "", ending)
        # As the code has it.
        named = re.sub(
            r"--(?:set )?([a-z-]+)", lambda option: f"`{option[1].replace('-', '_')}`", ending
        )
        assert any(text.rstrip('"') in joined for text in (ending, named)), message


def test_the_files_that_the_readme_names_are_in_a_checkout() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"(?<![\w./-])((?:examples|docs|research)/[\w./*-]+)", text)
    assert len(paths) > 15
    for path in paths:
        assert list(ROOT.glob(path.rstrip("."))), path
