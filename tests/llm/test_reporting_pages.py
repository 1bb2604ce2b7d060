"""The adapter's card and the HTML report: right numbers, and names from strangers that stay text."""

from __future__ import annotations

import shlex
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pyswarmopt_llm.reporting.card import code, command_line, model_card, plain
from pyswarmopt_llm.reporting.report import HEIGHT, PAD, WIDTH, best_so_far, render_report, steps

HOSTILE = "</pre><script>alert('1')</script>`|[x](javascript:0)\n# *b* {{ 7 * 7 }}"
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)


def run_json(**config: Any) -> dict[str, Any]:
    record = {"base": "org/base", "experts": ["e/x", "e/y"], "tasks": ["t.json"], "out": "r", "particles": 4}
    return {"config": {**record, **config}, "versions": {"torch": "2.13.0"}}


def result_json(**changes: Any) -> dict[str, Any]:
    record = {
        "best_dev": 0.7,
        "best_test": 0.62,
        "best_single_dev": 0.6,
        "best_single_test": 0.65,
        "best_single": "x",
        "intervals": {"best_test": [0.55, 0.69], "best_single_test": [0.58, 0.72]},
        "evaluations": 30,
        "item_evaluations": 600,
        "seconds": 80.0,
        "seconds_scoring": 76.0,
        "peak_memory_bytes": 2**30,
        "scoring": "likelihood",
        "stop": {"max_iter": 6},
        "coefficients": {"x": 1.25, "y": -0.25},
    }
    return {**record, **changes}


HISTORY = [{"value": value} for value in (0.5, 0.4, 0.7, 0.6)]


def front_matter(card: str) -> dict[str, Any]:
    _, header, _ = card.split("---\n", 2)
    loaded = yaml.safe_load(header)
    assert isinstance(loaded, dict)
    return loaded


class Elements(HTMLParser):
    """Names of all tags, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("href", "src", "onload", "onclick")]

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Elements:
    return Elements(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


@given(TEXT)
@example(HOSTILE)
@example("a_b_c ~~d~~ <b> &amp; \\ ``")
def test_plain_renders_as_the_very_text(text: str) -> None:
    assert rendered(f"x {plain(text)} x").text.split() == ["x", *text.split(), "x"]


@given(TEXT)
@example("``` a `` b ` c")
@example("<b>&amp;")
@example(" ")
def test_code_renders_as_the_very_text(text: str) -> None:
    shown = rendered(f"x {code(text)} x")
    assert shown.text.split() == ["x", *text.split(), "x"]
    assert set(shown.tags) <= {"p", "code"}


@given(base=TEXT)
@example(base="a: b\n---\nlicense: evil")
def test_the_front_matter_is_yaml_that_gives_the_base_back(base: str) -> None:
    header = front_matter(model_card(run_json(base=base), result_json()))
    assert header["base_model"] == " ".join(base.split())
    assert set(header) == {"base_model", "library_name", "tags"}
    assert header["library_name"] == "peft"


def test_the_base_goes_by_its_public_name_where_it_has_one() -> None:
    run = {**run_json(base="embedded:b"), "base_name": "org/public"}
    assert front_matter(model_card(run, result_json()))["base_model"] == "org/public"


def test_the_card_states_scores_weights_data_and_command() -> None:
    card = model_card(run_json(), result_json())
    for line in (
        "| best single expert: x | 0.600 | 0.650 [0.580, 0.720] |",
        "| swarm | 0.700 | 0.620 [0.550, 0.690] |",
        "| x | +1.2500 |",
        "| y | -0.2500 |",
        "- `t.json`",
        "    swarm-llm search --base org/base --experts e/x e/y --task t.json --out r --particles 4",
    ):
        assert line in card.splitlines()
    assert "-0.030 on test" in card
    assert "torch 2.13.0" in card


def test_a_hostile_name_stays_text_in_the_card() -> None:
    run = run_json(base=HOSTILE, experts=[HOSTILE], tasks=[HOSTILE], out=HOSTILE)
    result = result_json(best_single=HOSTILE, coefficients={HOSTILE: 1.0}, scoring=HOSTILE)
    card = model_card(run, result)
    body = rendered(card.split("---\n", 2)[2])
    assert not {"script", "a", "em"} & set(body.tags)
    assert body.tags.count("h1") == 1


def test_the_command_parses_back_to_the_configuration() -> None:
    config = run_json(experts=["a b", "c'd"], max_iter=3, exact_flat=True, dev=None)["config"]
    words = shlex.split(command_line(config))
    assert words[words.index("--experts") + 1 : words.index("--task")] == ["a b", "c'd"]
    assert words[words.index("--max-iter") + 1] == "3"
    assert words[-1] == "--exact-flat"
    assert "--dev" not in words


@given(st.lists(st.none() | st.floats(), max_size=20))
def test_best_so_far_against_brute_force(values: list[float | None]) -> None:
    finite = [v if v is not None and v - v == 0 else None for v in values]
    expected = []
    for end in range(1, len(values) + 1):
        known = [v for v in finite[:end] if v is not None]
        if known:
            expected.append(max(known))
    assert best_so_far([{"value": value} for value in values]) == expected


def test_the_curve_is_a_staircase_inside_its_frame() -> None:
    points = [tuple(map(float, p.split(","))) for p in steps([0.5, 0.5, 0.7], 0.5, 0.7).split()]
    middle = WIDTH / 2
    assert points == [
        (PAD, HEIGHT - PAD),
        (middle, HEIGHT - PAD),
        (middle, HEIGHT - PAD),
        (WIDTH - PAD, HEIGHT - PAD),
        (WIDTH - PAD, PAD),
    ]


@pytest.mark.parametrize("history", [[], HISTORY[:1], HISTORY, [{"value": None}]])
def test_the_report_states_the_numbers_and_needs_nothing_from_outside(history: list[dict[str, Any]]) -> None:
    page = render_report(run_json(), result_json(), history)
    elements = Elements(page)
    for word in ("+0.100 on dev, -0.030 on test", "0.620 [0.550, 0.690]", "+1.250", "-0.250", "1:20"):
        assert word in elements.text
    assert elements.links == []
    assert "http" not in page and "@import" not in page
    assert f"{len(best_so_far(history))} evaluations" in elements.text


def test_bars_are_relative_to_the_heaviest_weight() -> None:
    page = render_report(run_json(), result_json(), HISTORY)
    assert 'class="bar" style="width:100.0%"' in page
    assert 'class="bar negative" style="width:20.0%"' in page  # 0.25 of 1.25


def test_a_hostile_name_stays_text_in_the_report() -> None:
    run = {
        **run_json(base=HOSTILE, experts=[HOSTILE], tasks=[HOSTILE], out=HOSTILE),
        "versions": {HOSTILE: HOSTILE},
    }
    result = result_json(
        best_single=HOSTILE, coefficients={HOSTILE: 1.0}, scoring=HOSTILE, stop={HOSTILE: HOSTILE}
    )
    harmless, hostile = render_report(run_json(), result_json(), HISTORY), render_report(run, result, HISTORY)
    assert "script" not in Elements(hostile).tags
    assert set(Elements(hostile).tags) == set(Elements(harmless).tags)
    assert "{{ 7 * 7 }}" in Elements(hostile).text
