"""What `make dist` builds from: README's links lead out of the index, and the metadata names the repository."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://example.org/swarm"


@pytest.fixture(scope="module")
def dist_tree() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "dist_tree", ROOT / "docs" / "tools" / "dist_tree.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_link_of_the_built_readme_is_relative(dist_tree: ModuleType) -> None:
    text = dist_tree.absolute((ROOT / "README.md").read_text(encoding="utf-8"), REPOSITORY)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert all(re.match("https?://|#", link) for link in links)
    for kind, path in re.findall(rf"{REPOSITORY}/(raw|blob)/main/([^)#]+)", text):
        assert (ROOT / path).exists()
        assert (kind == "raw") == path.endswith((".gif", ".png", ".svg"))


def test_the_metadata_names_the_repository(dist_tree: ModuleType) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    before, after = tomllib.loads(text), tomllib.loads(dist_tree.with_urls(text, REPOSITORY))
    urls = after["project"].pop("urls")
    assert urls["Repository"] == REPOSITORY
    assert after == before


def test_metadata_without_extras_is_refused(dist_tree: ModuleType) -> None:
    with pytest.raises(ValueError, match="there is no"):
        dist_tree.with_urls("[project]\n", REPOSITORY)
