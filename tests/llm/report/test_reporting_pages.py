"""The adapter's card and the HTML report: right numbers, and names from strangers that stay
text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from result_helpers import about_of, result_of

from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.report.card import model_card
from pyswarmopt_llm.report.findings import verdict
from pyswarmopt_llm.report.page import render_report
from pyswarmopt_llm.report.pages import plain
from pyswarmopt_llm.report.pictures import HEIGHT, WIDTH, changes, kind_of, score_picture
from pyswarmopt_llm.run.record import Row
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.scores.tasks.templates import render_prompt
from pyswarmopt_llm.scores.tasks.types import TaskForm

HOSTILE = "</pre><script>alert('1')</script>`|[x](javascript:0)\n# *b* {{ 7 * 7 }}\x1b[2J\u202e"
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30
)


def row(
    particle: int, iteration: int, coefficients: list[float], items: str, task: str = "t"
) -> Row:
    score = score_of([*map(float, items)])
    key = f"{particle} {iteration}"
    found = ("search", iteration, particle, key, coefficients, score.value, score.n, 1.0)
    return Row(*found, {task: score})


# The experts know items 1 to 6 and 4 to 6; the result, 1.25 x - .25 y, all but items 2 and 10.
HISTORY = [
    row(0, 0, [1.0, 0.0], "1111110000"),
    row(1, 0, [0.0, 1.0], "0001110000"),
    row(1, 1, [0.5, 0.5], "0001111111"),
    row(0, 1, [1.25, -0.25], "1011111110"),
]
ITEMS = {"best_dev": "1011111110", "best_single_dev": "1111110000"}
EXPERTS = {"x": "1111110000", "y": "0001110000"}
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
        self.links += [
            value or "" for key, value in attrs if key in ("href", "src", "onload", "onclick")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Elements:
    return Elements(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


@given(base=TEXT)
@example(base="a: b\n---\nlicense: evil")
def test_the_front_matter_is_yaml_that_a_name_does_not_extend(base: str) -> None:
    header = front_matter(model_card(about_of(out=base, tasks=(base,)), result_of()))
    assert header.keys() == {"base_model", "library_name", "pipeline_tag", "tags"}
    assert header["library_name"] == "peft" and "merge" in header["tags"]


def test_only_an_id_of_the_hub_is_the_base_of_a_card(tmp_path: Path) -> None:
    """The hub takes no card with another name."""
    for base in (str(tmp_path), "./base", "~/base", "a: b\n---\nlicense: evil", "a/b/c"):
        header = front_matter(model_card(about_of(base=base), result_of()))
        assert not header.keys() & {"base_model", "license"}
    assert front_matter(model_card(about_of(), result_of()))["base_model"] == "org/base"


def test_the_card_states_scores_weights_data_and_command() -> None:
    given = {"given": {"particles": 4}}
    card = model_card(about_of(given, particles=4), result_of())
    command = "swarm-llm search --base org/base --experts e/x e/y --task t.json --out r"
    lines = {
        "| best expert x | 0.650 [0.580, 0.720] | 0.600 |",
        "| mixture (result) | 0.620 [0.550, 0.690] | 0.700 |",
        "1.25 x - 0.25 y",
        f"    {command} --particles 4",
    }
    assert lines <= {*card.splitlines()}
    title, sentence, *_ = card.split("---\n", 2)[2].strip().split("\n\n")
    assert title.startswith("# ") and sentence == plain(verdict(result_of()).sentence)
    assert "Nothing was trained." in card and "torch 2.13.0" in card
    trained = model_card(about_of(), result_of(trained=True))
    assert "fine-tuned on the dev" in trained and "Nothing" not in trained


def test_a_hostile_name_stays_text_in_the_card() -> None:
    run = about_of(base=HOSTILE, experts=(HOSTILE,), tasks=(HOSTILE,), out=HOSTILE)
    result = result_of(best_single=HOSTILE, coefficients={HOSTILE: 1.0})
    card = model_card(run, result)
    body = rendered(card.split("---\n", 2)[2])
    assert not {"script", "a", "em"} & set(body.tags)
    assert body.tags.count("h1") == 1


@pytest.mark.parametrize("rows", [[], HISTORY[:1], HISTORY, HISTORY[2:3]])
def test_the_report_states_the_numbers_and_needs_nothing_from_outside(rows: list[Row]) -> None:
    page = render_report(about_of(), result_of(), rows)
    elements = Elements(page)
    assert verdict(result_of()).sentence in elements.text
    for word in ("0.620 [0.550, 0.690]", "1.25", "-0.25", "1:20"):
        assert word in " ".join(elements.text.split())
    assert all(link.startswith("#") for link in elements.links)
    assert not re.search(r"https?:|@import|url\(", page)
    assert "default-src 'none'" in page


def shown(dev: tuple[Item, ...] | None = DEV, **more: Any) -> str:
    """The text of the report of a history, with the items of its task if they are there."""
    tasks = {} if dev is None else {"t": Task("t", dev=dev, test=DEV)}
    page = Elements(render_report(about_of(), result_of(items=ITEMS, **more), HISTORY, tasks))
    return " ".join(page.text.split())


def test_items_gained_and_lost_by_hand() -> None:
    text = shown(experts=EXPERTS)
    # Of the best single expert x: items 1 to 6. Gained 7, 8, 9; lost 2.
    gained, lost = text.split("Won: 3")[1].split("Lost: 1")
    assert [number for number in range(1, 11) if f"Question {number} <b>?" in gained] == [7, 8, 9]
    assert [number for number in range(1, 11) if f"Question {number} <b>?" in lost] == [2]
    assert "correct answer: yes" in gained


def test_a_hostile_name_stays_text_in_the_report() -> None:
    prints = {"tasks": {HOSTILE: HOSTILE}, "experts": {HOSTILE: HOSTILE}}
    about = about_of(
        {"versions": {HOSTILE: HOSTILE}, "fingerprints": prints},
        **{"base": HOSTILE, "experts": (HOSTILE,), "tasks": (HOSTILE,), "out": HOSTILE},
    )
    item = Item(HOSTILE, HOSTILE, {"A": HOSTILE, "B": "no"}, "A")
    tasks, named = {HOSTILE: Task(HOSTILE, (item,) * 10, ())}, {HOSTILE: 1.25, "y": -0.25}
    rows = [replace(one, tasks={HOSTILE: one.tasks["t"]}) for one in HISTORY]
    words = {"best_single": HOSTILE, "coefficients": named, "notes": [HOSTILE]}
    words |= {"task": HOSTILE, "items": ITEMS, "experts": {HOSTILE: "1111110000", "y": "0" * 10}}
    page = render_report(about, result_of(**words, stop={HOSTILE: HOSTILE}), rows, tasks)
    found = Elements(page)
    given = result_of(notes=["n"], items=ITEMS, experts=EXPERTS)
    harmless = Elements(render_report(about_of(), given, HISTORY, {"t": Task("t", DEV, ())}))
    assert {*found.tags} <= {*harmless.tags} - {"script", "a-b", "img", "iframe"}
    assert found.tags.count("pre") == page.count("<pre")
    assert not [link for link in found.links if "javascript:" in link]
    assert found.text.count("{{ 7 * 7 }}") >= 10 and "<script>" not in page
    assert "\x1b" not in page and "\u202e" not in page and r"\x1b[2J\u202e" in page


@pytest.mark.parametrize("scoring", ["letter", "likelihood"])
def test_the_card_holds_the_prompt_and_needs_nothing_of_the_authors_disk(scoring: str) -> None:
    """The prompt is the one of the search, with {question} for the question."""
    choices = {"A": "card", "B": "loan"}
    for prompt in (None, "{question} ({part})\nTeam:"):
        form = TaskForm("body", choices, prompt)
        about = about_of({"forms": {"t": form}}, tasks=("t.csv",), out="/home/anna/runs/secret")
        card = model_card(about, result_of(scoring=scoring))
        use = card.partition("## Use")[2].partition("## Scores")[0]
        item = Item("1", "Lost it!", choices, "A", meta={"part": "west"})
        wanted = render_prompt(item, scoring, prompt)  # type: ignore[arg-type]
        shown = "\n".join(line[4:] for line in use.splitlines() if line.startswith("    "))
        assert shown.replace("{question}", "Lost it!").replace("{part}", "west") == wanted
        assert "/home/anna" not in use and "--run" not in use


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40))
def test_the_picture_of_scores_by_hand(values: list[float]) -> None:
    """Every mark lies at its score, every step at the best so far, in units of the axes' ticks."""
    rows = [replace(HISTORY[0], value=value, iteration=i > 2) for i, value in enumerate(values)]
    picture = score_picture(rows)
    (low, bottom), (high, top) = min(picture.up.items()), max(picture.up.items(), key=by_number)
    unit = (bottom - top) / (float(high) - float(low))
    places = [bottom - (value - float(low)) * unit for value in values]
    assert [mark.y for mark in picture.marks] == pytest.approx(places, abs=0.2)
    assert all(0 <= mark.x <= WIDTH and 0 <= mark.y <= HEIGHT for mark in picture.marks)
    steps = [float(y) for y in re.findall(r"V([\d.]+)", picture.best)]
    best = [bottom - (max(values[: i + 1]) - float(low)) * unit for i in range(1, len(values))]
    assert steps == pytest.approx(best, abs=0.2)
    assert picture.across["1"] == picture.marks[0].x


def by_number(pair: tuple[str, float]) -> float:
    return float(pair[0])


@pytest.mark.parametrize(
    ("iteration", "coefficients", "kind"),
    [
        (0, [0.0, 1.0], "expert"),
        (0, [0.5, 0.5], "start"),
        (0, [0.0, 0.0], "start"),
        (0, [1.0, 1.0], "start"),
        (0, [1.0, -1.0], "start"),
        (2, [0.0, 1.0], "proposal"),
    ],
)
def test_what_a_candidate_is(iteration: int, coefficients: list[float], kind: str) -> None:
    assert kind_of(row(0, iteration, coefficients, "10")) == kind


def test_won_and_lost_are_those_on_test_with_what_each_model_answered() -> None:
    """The uniform average is the strongest control on test: right on items 1 to 6, the result on 1,
    2 and 5 to 10.
    """
    result = result_of(
        items={**ITEMS, "best_test": "1100111111", "uniform_test": "1111110000"},
        **{
            "experts": EXPERTS,
            "best_test": 0.8,
            "best_single_test": 0.3,
            "uniform_test": 0.6,
            "uniform_dev": 0.4,
        },
    )
    answers = {"best": list("AABBAAAAAA"), "uniform": list("AAAAAABBBB")}
    models = dict(result.models)
    for name, letters in answers.items():
        test = models[name].test
        assert test is not None
        outcome = replace(test.tasks["t"], answers=letters)
        models[name] = replace(models[name], test=replace(test, tasks={"t": outcome}))
    (found,) = changes(replace(result, models=models), {"t": Task("t", (), DEV)})
    assert (found.split, found.control) == ("test", "the uniform average")
    assert [one.item.id for one in found.won if one.item] == ["7", "8", "9", "10"]
    assert [one.item.id for one in found.lost if one.item] == ["3", "4"]
    assert {(one.ours, one.theirs) for one in found.won} == {("yes", "no")}
    assert {(one.ours, one.theirs) for one in found.lost} == {("no", "yes")}


def test_a_card_says_when_the_base_was_a_file_of_four_bits() -> None:
    embedded = about_of({"base_name": "org/small"}, base="embedded:small")
    card = model_card(embedded, result_of())
    assert "4-bit file of the base model" in card and "`org/small` they may differ" in card
    assert "4-bit" not in model_card(about_of(), result_of())
