"""Facts that pages state are those of the code: statuses, extras, versions, sizes of splits, exit codes."""

from __future__ import annotations

import re
import tomllib

import pytest
from doc_blocks import ROOT

import pyswarmopt as pso
from pyswarmopt.driver.result import REASONS
from pyswarmopt_llm.scores.tasks.types import DEV, TEST

# extras of contributors, which no user installs by name
INTERNAL = {"bench", "docs", "release", "test"}


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def named(text: str) -> set[str]:
    """What stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def project() -> dict:
    return tomllib.loads(page("pyproject.toml"))["project"]


def test_function_md_lists_every_status() -> None:
    sentence = page("docs/tutorials/function.md").split("`r.status` is")[1].split("\n\n")[0]
    ended = {status for status, _ in REASONS.values()}
    assert ended | {"infeasible", "failed"} <= named(sentence)


def test_install_md_lists_every_extra() -> None:
    table = page("docs/install.md").split("## Extras")[1].split("\n## ")[0]
    extras = set(project()["optional-dependencies"])
    rows = set(re.findall(r"^\| (`.*?`) \|", table, flags=re.MULTILINE))
    assert set().union(*map(named, rows)) == extras - INTERNAL


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_install_md_states_the_versions_that_are_allowed(package: str) -> None:
    extras = project()["optional-dependencies"]
    needs = next(
        need for extra in extras.values() for need in extra if re.match(package + ">=", need)
    )
    low = needs.split(">=")[1].split(",")[0]
    assert f"{package} ({low} " in page("docs/install.md")


def test_own_data_md_states_the_sizes_of_splits() -> None:
    text = " ".join(page("docs/how-to/own-data.md").split())
    assert f"the first {DEV} dev and {TEST:,} test examples" in text


def test_the_citation_has_the_version_of_the_package() -> None:
    assert f"\nversion: {pso.__version__}\n" in page("CITATION.cff")


def test_install_md_and_the_metadata_name_the_oldest_python() -> None:
    oldest = project()["requires-python"].removeprefix(">=")
    assert f"Python {oldest} or newer" in page("docs/install.md")
    assert f"Python {oldest} or newer" in page("README.md")
