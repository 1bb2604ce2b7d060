"""GitHub's files: valid by their schemas, and their steps are those that run here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pyswarmopt as pso

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(
    set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {GITHUB / "ISSUE_TEMPLATE" / "config.yml"}
)
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
    "dependabot": [GITHUB / "dependabot.yml"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_is_valid_by_its_schema(schema: str) -> None:
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema (extra: test)")
    assert SCHEMAS[schema]
    words = ("-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}")
    done = subprocess.run(
        [sys.executable, *words, *map(str, SCHEMAS[schema])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def commands(workflow: Path) -> list[str]:
    """The commands of a workflow's steps."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_each_step_is_a_target_of_the_makefile(workflow: Path) -> None:
    """So that a workflow runs nothing that cannot be run, and mended, on any machine."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE))
    for command in commands(workflow):
        program, *arguments = command.split()
        if program == "make":
            assert arguments[0] in targets, command
        else:
            assert command in (".ci/run", "mv dist/SHA256SUMS ."), command


@pytest.mark.parametrize(("tag", "code"), [(f"v{pso.__version__}", 0), ("v0.0.0", 2)])
def test_a_release_asks_for_the_tag_of_the_version(tag: str, code: int) -> None:
    done = subprocess.run(["make", "check-tag", f"TAG={tag}"], cwd=ROOT, check=False)
    assert done.returncode == code


def test_the_continuous_run_is_the_one_of_this_repository() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert ".ci/run" in commands(GITHUB / "workflows" / "ci.yml")
    for target in ("setup", "lint", "docs", "test", "test-dtype", "test-slow"):
        assert re.search(rf"^make .*\b{target}\b", steps, flags=re.MULTILINE), target
