"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


def visit(address: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page; what the console says is on stderr."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--enable-logging=stderr", "--disable-background-networking", "--disable-component-update",
        "--no-first-run", f"--user-data-dir={profile}", *options, address,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)


def seen_at(address: str, profile: Path, *options: str) -> Any:
    """What the page's own script left in `data-seen`, if the console stayed empty."""
    done = visit(address, profile, "--dump-dom", *options)
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def refers_to_nothing(page: str, scripts: Iterable[str]) -> None:
    """Prove that a page is one file whose references, labels and scripts find their elements in it."""
    tags = page.split("<script")[0] + "".join(re.findall(r"<script[^>]*>", page))
    ids, labelled = (re.findall(rf'\s{name}="([^"]*)"', tags) for name in ("id", "for"))
    references = re.findall(r'\s(?:src|href)="([^"]*)"', tags)
    assert [each for each in references if not each.startswith(("#", "data:"))] == []
    assert "{{" not in tags and "default-src 'none'" in page
    assert len(set(ids)) == len(ids) and set(labelled) <= set(ids)
    asked = [name for script in scripts for name in re.findall(r'\$\("([\w-]+)"\)', script)]
    assert set(asked) <= set(ids)
