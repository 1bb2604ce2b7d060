"""The report in a real browser, and what its stylesheet promises: contrast, no errors, nothing from
the network.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser, seen_at
from result_helpers import about_of, result_of

from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.report.page import render_report
from pyswarmopt_llm.run.record import Row, pack
from pyswarmopt_llm.scores.tasks import Item, Task

# Writes down what a reader could not do without: no errors, no requests, nothing wider than the
# window.
READER = """
<script>
const errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main > section")].filter((e) => e.scrollWidth > innerWidth);
  document.documentElement.dataset.seen = JSON.stringify({
    errors,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name),
    cut: [...document.querySelectorAll(".wide")].some((e) => e.scrollWidth > e.clientWidth),
    wide: document.documentElement.scrollWidth > innerWidth || wide.length > 0,
    figures: [...document.querySelectorAll("figure svg[role=img]")].map((e) => e.getBoundingClientRect().width),
    dark: getComputedStyle(document.body).backgroundColor,
    shapes: [...new Set([...document.querySelectorAll("figure .mark")].map((e) => e.tagName))].sort(),
  });
});
</script>
"""


def page(experts: int) -> str:
    """The report of an invented run with long names and every section."""
    rng = random.Random(experts)
    names = [f"expert-with-a-name-{i}" for i in range(experts)]
    rows: list[Row] = []
    for iteration in range(6):
        for particle in range(experts + 3):
            mixture = [float(i == particle) for i in range(experts)]
            if particle >= experts or iteration:
                raw = [rng.random() ** 3 + 0.2 * rng.random() for _ in names]
                mixture = [weight / sum(raw) for weight in raw]
            items = "".join(str(int(rng.random() < 0.4 + 0.07 * iteration)) for _ in range(60))
            key, value = f"{iteration} {particle}", items.count("1") / 60
            found = ("search", iteration, particle, key, mixture, value, 60, 1.0)
            rows.append(Row(*found, {"quiz": score_of([*map(float, items)])}))
    best = max(rows, key=lambda row: row.value)
    items = [str(pack(row.tasks["quiz"].per_item)) for row in (best, *rows[:experts])]
    result = {"best_dev": best.value, "best_single_dev": 0.5, "uniform_dev": 0.45}
    result |= {"expert_tuned_dev": 0.6, "expert_tuned_test": 0.55}  # the longest label
    result |= {"best_test": 0.7, "best_single_test": 0.6, "uniform_test": 0.5, "task": "quiz"}
    result |= {"best_single": names[0], "evaluations": len(rows), "scoring": "letter"}
    result |= {"item_evaluations": 60 * len(rows), "stop": {"patience": 3}}
    result |= {"items": {"best_dev": items[0], "best_single_dev": items[1]}}
    result |= {"intervals": {"best_dev": [0.6, 0.8], "best_test": [0.62, 0.77]}}
    result |= {"coefficients": dict(zip(names, best.coefficients, strict=True))}
    result |= {"experts": dict(zip(names, items[1:], strict=True))}
    result |= {"notes": ["A remark that is broken into lines on a telephone, as usual. " * 2]}
    more = {"fingerprints": {"tasks": {"quiz": "1"}, "experts": dict.fromkeys(names, "0123456789")}}
    about = about_of(
        more, experts=tuple(names), tasks=("a/very/long/path/" * 6 + "quiz.json",), out="runs/first"
    )
    options = {"A": "yes", "B": "no"}
    dev = tuple(Item(str(i), f"Is {i} a question? " * 9, options, "A") for i in range(60))
    return render_report(about, result_of(**result), rows, {"quiz": Task("quiz", dev, ())})


# The browser


def seen_in(path: Path, text: str, width: int) -> Any:
    """What the script in a page has seen in a window so wide."""
    # The page forbids scripts, so the one that looks at it has to lift that; the pictures below are
    # of the page itself.
    path.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    profile = path.with_name("profile")
    return seen_at(path.as_uri(), profile, f"--window-size={width},900")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize(("experts", "width"), [(3, 1200), (12, 500)])
def test_a_reader_finds_no_error_and_the_page_asks_for_nothing(
    experts: int, width: int, tmp_path: Path
) -> None:
    text = page(experts).replace("<body>", "<body>" + READER)
    seen = seen_in(tmp_path / "report.html", text, width)
    assert seen["errors"] == [] and seen["requests"] == [] and not seen["wide"]
    assert not seen["cut"]
    assert len(seen["figures"]) == 1 and min(seen["figures"]) > 300
    assert seen["shapes"] == ["circle", "polygon", "rect"]  # told apart without colour
