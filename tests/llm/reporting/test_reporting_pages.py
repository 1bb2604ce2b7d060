"""The adapter's card and the HTML report: right numbers, and names from strangers that stay text."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from sklearn.decomposition import PCA

from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.reporting.card import code, command_line, model_card, plain
from pyswarmopt_llm.reporting.report.charts import BOTTOM, HEIGHT, TOP, WIDTH, best_so_far, curve, ticks
from pyswarmopt_llm.reporting.report.paths import plane
from pyswarmopt_llm.reporting.report.report import render_report
from pyswarmopt_llm.reporting.story import summary, usage
from pyswarmopt_llm.tasks import Item, Task

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


def row(particle: int, iteration: int, coefficients: list[float], items: str, task: str = "t") -> Row:
    value = items.count("1") / len(items)
    about = {"phase": "search", "iteration": iteration, "particle": particle, "key": f"{particle} {iteration}"}
    found = {"coefficients": coefficients, "value": value, "n": len(items), "seconds": 1.0, "items": {task: items}}
    return Row.from_json({**about, **found})


# The experts know items 1 to 6 and 4 to 6; the result, 1.25 x - .25 y, all but items 2 and 10.
HISTORY = [
    row(0, 0, [1.0, 0.0], "1111110000"),
    row(1, 0, [0.0, 1.0], "0001110000"),
    replace(row(1, 1, [0.5, 0.5], "0001111???"), bounds=[0.4, 0.7], value=0.7),
    row(0, 1, [1.25, -0.25], "1011111110"),
]
DEV = tuple(Item(str(i), f"Question {i} <b>?", {"A": "yes", "B": "no"}, "A") for i in range(1, 11))


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


@given(st.lists(st.floats(), max_size=20))
def test_best_so_far_against_brute_force(values: list[float]) -> None:
    finite = [v if v - v == 0 else None for v in values]
    expected = []
    for end in range(1, len(values) + 1):
        known = [v for v in finite[:end] if v is not None]
        if known:
            expected.append(max(known))
    assert best_so_far([replace(HISTORY[0], value=value) for value in values]) == expected


def test_the_curve_is_a_staircase_inside_its_frame() -> None:
    found = curve(HISTORY, {"best expert": 0.6})
    assert found is not None
    points = [tuple(map(float, point.split(","))) for point in found.points.split()]
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # up is less
    steps = {point for point in points}
    # Best so far .6 .6 .7 .8 at evaluations 1 to 4: it rises at the third and the fourth.
    assert len(points) == 7 and points[1][1] == points[0][1] and points[3][0] == points[4][0] != points[2][0]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in steps)
    assert found.rules[0].y == points[0][1]  # the best expert is the first evaluation
    assert curve([], {"best expert": 0.6}) is None


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_inside_and_about_as_many_as_wanted(low: float, span: float) -> None:
    if low + span == low:
        return
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 * span <= tick <= low + span + 1e-9 * span + 1e-9 for tick in found)
    gaps = np.diff(found)
    assert gaps.min() == pytest.approx(gaps.max(), rel=1e-3)


def test_three_experts_are_a_triangle_and_distances_in_it_are_those_of_the_coefficients() -> None:
    mixtures = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.2, 0.3, 0.5], [1.5, -0.5, 0]]
    rows = [row(i, 0, mixture, "10") for i, mixture in enumerate(mixtures)]
    found = plane(rows, {"x": 1.5, "y": -0.5, "z": 0.0}, rows[4])
    spots = np.array([(mark.x, mark.y) for mark in found.visited])
    flat, real = (np.linalg.norm(p[:, None] - p[None], axis=2) for p in (spots, np.array(mixtures)))
    assert np.allclose(flat, real * flat[0, 1] / real[0, 1], atol=0.3)  # coordinates have one decimal
    assert len(found.hull.split()) == 3 and (found.best.x, found.best.y) == tuple(spots[4])


@pytest.mark.parametrize("far", [[4.0, -3.0, 0.0], [-3.0, -3.0, 7.0]])  # a wide picture and a high one
def test_what_does_not_fill_the_picture_stands_in_its_middle(far: list[float]) -> None:
    mixtures = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], far]
    rows = [row(i, 0, mixture, "10") for i, mixture in enumerate(mixtures)]
    found = plane(rows, {"x": 1.0, "y": 0.0, "z": 0.0}, rows[0])
    across, up = [mark.x for mark in found.visited], [mark.y for mark in found.visited]
    assert (min(across) + max(across)) / 2 == pytest.approx(WIDTH / 2, abs=0.1)
    assert (min(up) + max(up)) / 2 == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, abs=0.1)


@given(st.integers(4, 9), st.integers(1, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=25)
def test_the_projection_is_the_one_of_scikit_learn(n: int, count: int, seed: int) -> None:
    where = np.random.default_rng(seed).dirichlet(np.ones(n), count)
    rows = [row(i, 0, list(mixture), "10") for i, mixture in enumerate(where)]
    found = plane(rows, dict(zip("abcdefghi", where[0], strict=False)), rows[0])
    spots = np.array([(mark.x, mark.y) for mark in found.visited])
    assert (spots >= 0).all() and (spots <= (WIDTH, HEIGHT)).all()
    assert {mark.title for mark in found.experts} == set("abcdefghi"[:n])
    if count < 3:
        return
    reference = PCA(2).fit(where)
    flat, real = (np.linalg.norm(p[:, None] - p[None], axis=2) for p in (spots, reference.transform(where)))
    scale = flat.max() / real.max()
    assert np.allclose(flat, real * scale, atol=1.0)
    assert f"{reference.explained_variance_ratio_.sum():.0%}" in found.caption


@pytest.mark.parametrize("rows", [[], HISTORY[:1], HISTORY, HISTORY[2:3]])
def test_the_report_states_the_numbers_and_needs_nothing_from_outside(rows: list[Row]) -> None:
    page = render_report(run_json(), result_json(), rows)
    elements = Elements(page)
    for word in ("0.620 against 0.650", "(-0.030)", "0.620 [0.550, 0.690]", "+1.250", "-0.250", "1:20"):
        assert word in " ".join(elements.text.split())
    assert all(link.startswith("#") for link in elements.links)
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page
    assert "default-src 'none'" in page
    assert (f"so far over {len(rows)} evaluations" in elements.text) == bool(rows)


def test_every_link_leads_to_a_section_and_every_name_to_an_element() -> None:
    page = render_report(run_json(), result_json(), HISTORY)
    ids = re.findall(r'id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in Elements(page).links} <= set(ids)
    assert set(re.findall(r'aria-labelledby="([^"]*)"', page)) <= set(ids)
    assert len(re.findall(r"<svg[^>]*(?:role=.img.|aria-hidden)", page)) == page.count("<svg")


def test_bars_are_to_scale_on_both_sides_of_zero() -> None:
    page = render_report(run_json(), result_json(), HISTORY)
    widths = [float(width) for width in re.findall(r'class="bar[^"]*" x="[^"]*" y="2" width="([^"]*)"', page)]
    assert widths[1] / widths[0] == pytest.approx(0.25 / 1.25, abs=0.01)
    assert 'class="bar negative"' in page


def test_items_gained_and_lost_by_hand() -> None:
    page = Elements(render_report(run_json(), result_json(), HISTORY, {"t": Task("t", dev=DEV, test=DEV)})).text
    text = " ".join(page.split())
    # Of the best single expert x: items 1 to 6. Gained 7, 8, 9; lost 2.
    assert "On dev the swarm gains 3 items and loses 1." in text
    assert (
        "Of 4 dev items that no expert got right alone, the swarm gets 3; of 6 that some expert did, it loses 1."
        in text
    )
    gained, lost = text.split("Gained: 3")[1].split("Lost: 1")
    assert [number for number in range(1, 11) if f"Question {number} <b>?" in gained] == [7, 8, 9]
    assert [number for number in range(1, 11) if f"Question {number} <b>?" in lost] == [2]
    assert "right answer: yes" in gained


def test_without_the_task_file_items_are_counted_only() -> None:
    other = Task("t", dev=DEV[:3], test=())  # another file by that name
    for tasks in ({}, {"t": other}):
        text = Elements(render_report(run_json(), result_json(), HISTORY, tasks)).text
        assert "Question" not in text and " ".join(text.split()).count("gains 3 items and loses 1") == 1


def test_each_particle_has_its_start_and_its_best() -> None:
    text = " ".join(re.sub("<[^>]*>", " ", render_report(run_json(), result_json(), HISTORY)).split())
    assert "0: x 0.600 0.800 1" in text and "1: y 0.300 0.700 1" in text
    assert "The result is of particle 0, which started at 0.600, rank 1 of 2, and found it in iteration 1." in text


@pytest.mark.parametrize(
    ("interval", "words"),
    [([0.02, 0.18], "is better than"), ([-0.2, -0.1], "is worse than"), ([-0.1, 0.1], "cannot be told from")],
)
def test_the_summary_says_what_the_paired_test_allows(interval: list[float], words: str) -> None:
    found = {"difference": sum(interval) / 2, "interval": interval, "p_value": 0.1, "n": 200, "gained": 9, "lost": 4}
    first, second = summary(result_json(paired={"t": {"test": found}}))
    assert f"The swarm {words} the best single expert, x" in first and "200 held-out test items" in first
    assert "0.700" in second and "quote the test score" in second


def test_without_test_items_nothing_is_claimed_about_them() -> None:
    result = result_json(best_test=None, best_single_test=None)
    assert "there is no test split" in summary(result)[0] and "expect less" in summary(result)[1]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["PeftModel.from_pretrained(base, 'r/best')", "AutoTokenizer.from_pretrained('org/base')"]),
        ({"space": "full"}, ["AutoModelForCausalLM.from_pretrained('r/best')"]),
        ({"space": "token"}, ["swarm-llm eval --base r/best --task t.json --split test"]),
        ({"space": "graph"}, ["swarm-llm eval --base r/best --task t.json --split test"]),
        ({"out": "my 'run"}, ["swarm-llm generate --run 'my '\"'\"'run'", '"my \'run/best"']),
    ],
)
def test_code_to_copy_is_code(config: dict[str, Any], words: list[str]) -> None:
    found = usage(run_json(**config)["config"], "org/base")
    for what, text in found:
        if what.startswith("Load"):
            compile(text, "report", "exec")
        else:
            assert shlex.split(text)[0] == "swarm-llm"
    everything = "\n".join(text for _, text in found)
    assert all(word in everything for word in words), everything


def test_several_tasks_and_groups_have_their_tables() -> None:
    scores = {"best_single_dev": 0.1, "best_dev": 0.2, "best_single_test": 0.3, "best_test": 0.4, "scoring": "letter"}
    groups = {"block 0": {"x": 1.0, "y": 0.0}, "block 1": {"x": 0.5, "y": 0.5}}
    page = render_report(
        run_json(), result_json(tasks={"a": scores, "b": scores}, coefficients_by_group=groups), HISTORY
    )
    text = " ".join(re.sub("<[^>]*>", " ", page).split())
    assert "a 0.100 0.200 0.300 0.400 b 0.100" in text and "block 1 +0.500 +0.500" in text


def test_a_hostile_name_stays_text_in_the_report() -> None:
    run = {
        **run_json(base=HOSTILE, experts=[HOSTILE], tasks=[HOSTILE], out=HOSTILE),
        "versions": {HOSTILE: HOSTILE},
    }
    result = result_json(best_single=HOSTILE, coefficients={HOSTILE: 1.0}, scoring=HOSTILE, stop={HOSTILE: HOSTILE})
    item = Item(HOSTILE, HOSTILE, {"A": HOSTILE, "B": "no"}, "A")
    tasks, named = {HOSTILE: Task(HOSTILE, (item,) * 10, ())}, {HOSTILE: 1.25, "y": -0.25}
    rows = [replace(one, items={HOSTILE: one.items["t"]}) for one in HISTORY]
    run["fingerprints"] = {"tasks": {HOSTILE: HOSTILE}, "experts": {HOSTILE: HOSTILE}}
    result |= {"coefficients": named, "coefficients_by_group": {HOSTILE: named}, "notes": [HOSTILE]}
    page = render_report(run, result, rows, tasks)
    shown = Elements(page)
    assert not {"script", "a-b", "img", "iframe"} & set(shown.tags)
    assert shown.tags.count("pre") == page.count("<pre") and "javascript:" not in "".join(shown.links)
    assert shown.text.count("{{ 7 * 7 }}") >= 10 and "<script>" not in page
    assert set(shown.tags) <= set(
        Elements(
            render_report(
                run_json(),
                result_json(notes=["n"], coefficients_by_group={"g": {"x": 1.0}}),
                HISTORY,
                {"t": Task("t", DEV, ())},
            )
        ).tags
    )
