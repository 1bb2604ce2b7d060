"""The documentation's site: built strictly, complete, readable on a phone, and without a request to
the network.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import needs_browser, seen_at

import pyswarmopt
import pyswarmopt_llm
from pyswarmopt_llm.cli.app import COMMANDS

pytest.importorskip("mkdocs", reason="the site is built with mkdocs (extra: docs)")
pytest.importorskip("latex2mathml", reason="equations are made by latex2mathml (extra: docs)")
pytest.importorskip("mkdocstrings", reason="the reference is made by mkdocstrings (extra: docs)")

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a broken link, a missing anchor or a page that is not there would have ended
    the build. The environment's SITE names one that `make docs` has just built.
    """
    if "SITE" in os.environ:
        return ROOT / os.environ["SITE"]
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_reference_has_every_public_name_and_every_command(site: Path) -> None:
    header, _, packed = (site / "objects.inv").read_bytes().partition(b"zlib.\n")
    assert header.startswith(b"# Sphinx inventory")
    names = {line.split(" ")[0] for line in zlib.decompress(packed).decode().splitlines()}
    assert (
        not {f"pyswarmopt.{name}" for name in pyswarmopt.__all__ if not name.startswith("_")}
        - names
    )
    page = (site / "reference" / "pyswarmopt_llm.html").read_text(encoding="utf-8")
    homes = [getattr(pyswarmopt_llm, name) for name in dir(pyswarmopt_llm)]
    assert not {f"{home.__module__}.{home.__qualname__}" for home in homes} - names
    assert "sl.evaluate" in page and not (site / "reference" / "code").exists()
    commands = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="swarm-llm-{name}"' in commands
    # what the help only names is explained here
    assert "--patience" in commands and "--draws" in commands


def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    asked = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//",
        re.IGNORECASE,
    )
    for page in site.rglob("*.html"):
        assert not asked.search(page.read_text(encoding="utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    pictures = [path for path in (ROOT / "docs" / "pictures").iterdir()]
    assert sum(path.stat().st_size for path in pictures) < 1_000_000


READER = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message || event.target.src || event.target.href)), true);
addEventListener("load", () => {
  const wide = document.documentElement.scrollWidth - innerWidth;
  const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  document.documentElement.dataset.seen = JSON.stringify({ errors, wide, requests });
});
</script>
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """No line per request."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@needs_browser
@pytest.mark.parametrize(
    ("page", "width"),
    [
        ("index", 500),
        ("index", 1280),
        ("reference/command-line", 500),
        ("explanation/results", 500),
        ("explanation/algorithm", 500),
    ],
)
def test_a_page_is_drawn_without_errors_and_fits(
    page: str, width: int, site: Path, address: str, tmp_path: Path
) -> None:
    path = site / f"{page}.html"
    own = path.with_name(f"seen-{path.name}")  # beside the page, so that its links hold
    own.write_text(
        path.read_text(encoding="utf-8").replace("<head>", "<head>" + READER, 1), encoding="utf-8"
    )
    options = (f"--window-size={width},900", "--virtual-time-budget=3000")
    seen = seen_at(f"{address}/{own.relative_to(site)}", tmp_path / "profile", *options)
    own.unlink()
    assert seen["errors"] == [] and seen["wide"] <= 0
    assert all(name.startswith(address) for name in seen["requests"])
