"""A headless Chromium for the tests of pages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

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
