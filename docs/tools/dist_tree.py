"""A copy of the tracked files, from which `make dist` builds.

    python docs/tools/dist_tree.py build/source https://github.com/OWNER/NAME

With a repository, the links of the copy's README are absolute, since an index shows it without the
other files, and the metadata names the repository.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")
BEFORE = "[project.optional-dependencies]"


def absolute(text: str, repository: str) -> str:
    """Markdown whose relative links and pictures lead to the repository.

    Example:
        >>> absolute("[a](docs/a.md#b) ![c](c.png) [d](#d)", "https://x.org/r")
        '[a](https://x.org/r/blob/main/docs/a.md#b) ![c](https://x.org/r/raw/main/c.png) [d](#d)'
    """

    def replaced(link: re.Match[str]) -> str:
        picture, name, path = link.groups()
        kind = "raw" if picture else "blob"
        return f"{picture}[{name}]({repository}/{kind}/main/{path})"

    return LINK.sub(replaced, text)


def with_urls(pyproject: str, repository: str) -> str:
    """The metadata with the repository's address.

    Raises:
        ValueError: the metadata has no table of extras to put it before.
    """
    if BEFORE not in pyproject:
        raise ValueError(f"pyproject.toml: there is no {BEFORE}")
    urls = (
        f'[project.urls]\nRepository = "{repository}"\n'
        f'Changelog = "{repository}/blob/main/CHANGELOG.md"\nIssues = "{repository}/issues"\n\n'
    )
    return pyproject.replace(BEFORE, urls + BEFORE, 1)


def copy_tracked(root: Path, target: Path) -> None:
    """Copy every tracked file of a checkout; links stay links."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, target / name, follow_symlinks=False)


def main() -> None:
    target, repository = Path(sys.argv[1]), "".join(sys.argv[2:3]).rstrip("/")
    root = Path(__file__).parents[2]
    copy_tracked(root, target)
    if repository:
        for name, change in (("README.md", absolute), ("pyproject.toml", with_urls)):
            text = (root / name).read_text(encoding="utf-8")
            (target / name).write_text(change(text, repository), encoding="utf-8")


if __name__ == "__main__":
    main()
