"""The formulas that a reader of the lesson types, computed as Python computes them; the exercises'
right lines move the swarm as the library's terms do.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lesson_recordings import Settings

from pyswarmopt.teaching import lesson

quickjs = pytest.importorskip("quickjs", reason="the page's script runs in quickjs (extra: test)")
FOLDER = Path(lesson.__file__).parent
# What write.js asks of the page when it is loaded.
PAGE = "const Dom = { DATA: {}, pair: String }, matchMedia = () => ({});"


@pytest.fixture(scope="module")
def js() -> Any:
    context = quickjs.Context()
    context.eval(PAGE + "".join((FOLDER / name).read_text().replace('"use strict";', "")
                                for name in ("swarm.js", "formula.js", "write.js")))  # fmt: skip
    return context


def call(js: Any, function: str, *values: Any) -> Any:
    return json.loads(
        js.eval(f"JSON.stringify(({function})({', '.join(map(json.dumps, values))}))")
    )


def value(js: Any, text: str, **names: float) -> float:
    found = call(js, "(t, s) => String(Formula.parse(t, Object.keys(s))(s))", text, names)
    return float(found.replace("Infinity", "inf").replace("NaN", "nan"))


NUMBERS = st.sampled_from(["2", "0.5", ".25", "3e-1", "x", "y", "pi"])
FORMULAS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", " - ", "*-"]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"sin({text})"),
        st.tuples(inner, inner).map(lambda pair: f"max({pair[0]}, {pair[1]})"),
        st.tuples(inner, st.sampled_from(["2", "3"])).map(lambda pair: f"({pair[0]})^{pair[1]}"),
    ),
    max_leaves=12,
)
KNOWN = {"sin": math.sin, "max": max, "pi": math.pi}


@given(text=FORMULAS, x=st.floats(-3, 3), y=st.floats(-3, 3))
def test_formulas_are_computed_as_in_python(text: str, x: float, y: float, js: Any) -> None:
    wanted = eval(text.replace("^", "**"), {"__builtins__": {}}, {**KNOWN, "x": x, "y": y})
    assert value(js, text, x=x, y=y) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("-x^2", -9),
        ("2^-1", 0.5),
        ("2^3^2", 512),
        ("8/4/2", 1),
        ("5 − 2 · 2", 1),
        ("x**2", 9),
        ("2x^2", 18),
        ("8/4 x", 6),
        ("-7 % 3", 2),
    ],
)
def test_signs_and_powers_bind_as_in_mathematics(text: str, wanted: float, js: Any) -> None:
    assert value(js, text, x=3.0) == wanted


def test_lowest_point_of_known_functions(js: Any) -> None:
    camel = "(4 - 2.1*x^2 + x^4/3)*x^2 + x*y + 4*(y^2 - 1)*y^2"
    find = "(t) => { const f = Formula.parse(t, ['x', 'y']); return Formula.lowest(([x, y]) => f({ x, y }), -5, 5); }"
    x, y = call(js, find, camel)
    assert (abs(x), abs(y)) == pytest.approx((0.089842, 0.712656), abs=1e-4) and x * y < 0
    assert call(js, find, "(x - 1.234)^2 + (y + 4.9)^2") == pytest.approx([1.234, -4.9], abs=1e-4)
    assert call(js, find, "x + y") == [-5, -5]


TASKS = [(chapter, task) for chapter in lesson.CHAPTERS for task in chapter.get("writing", [])]


@pytest.mark.parametrize(("chapter", "task"), TASKS)
def test_right_lines_are_right_and_given_ones_are_not(
    chapter: dict[str, Any], task: dict[str, Any], js: Any
) -> None:
    settings = asdict(Settings(**{**chapter["settings"], **task["settings"]}))
    part = "(task, settings, text) => Write.parting(Write.race(task, settings, text))"
    assert call(js, part, task, settings, task["right"]) is None
    assert call(js, part, task, settings, task["given"])["t"] > 0


def answered(js: Any, chapter: int, text: str) -> str:
    """What the exercise of a chapter says to a line."""
    task = lesson.CHAPTERS[chapter]["writing"][0]
    settings = asdict(Settings(**{**lesson.CHAPTERS[chapter]["settings"], **task["settings"]}))
    say = """(task, settings, text) => {
        try { return Write.verdict(Write.race(task, settings, text), task, text); } catch (e) { return e.message; }
    }"""
    return str(call(js, say, task, settings, text))


# chapter - 1, what is typed, with what the verdict begins, what else it says
ANSWERS = [
    (0, "v' = w*v + c1*r1*(p - x) + c2*r2*(g - x)", "Right", ""),
    (0, "v′ = w·v + c₁·r₁·(p − x) + c₂·r₂·(g − x)", "Right", ""),
    (0, "v = wv + c1*r1*(p - x) + c2*r2*(g - x)", "“wv” is unknown", "w*v"),
    (0, "v = w v + c1 r1 (p - x) + c2 r2 (g - x)", "Right", ""),
    (0, "V_new = W*V + C1*R1*(P - X) + C2*R2*(G - X)", "Right", ""),
    (0, "v(t+1) = w*v - c1*r1*(x - p) - c2*r2*(x - g)", "Right", ""),
    (0, "x = x + v", "Write what v is", "x"),
    (0, "w*v + c1*r1*(x - p) + c2*r2*(g - x)", "Wrong sign: the pull to p", "differ"),
    (0, "c1*r1*(p - x) + c2*r2*(g - x) - w*v", "Wrong sign: inertia", "differ"),
    (0, "w*v + c1*r1*(p - x)", "Missing: the pull to g", "differ"),
    (0, "w*v + c1*r1*(x - p)", "Wrong sign: the pull to p", "Missing: the pull to g"),
    (0, "v + c1*r1*(p - x) + c2*r2*(g - x)", "Without its weight: inertia, w*v.", "step 1"),
    (0, "0,73*v + c1*r1*(p - x) + c2*r2*(g - x)", "Right", ""),  # w is 0.73 here
    (1, "i - 1, i + 1", "Right", ""),
    (1, "i+1,i-1", "Right", ""),
    (1, "[(i - 1) % n, (i + 1) % n]", "Right", ""),
    (1, "I − 1, I + 1", "Right", ""),
    (1, "i + 1", "With i = 0 and n = 16 it hears from 1; with the correct line, from 1, 15", "differ"),
    (3, "v' = w*v + c1*r1*(p - x) + c2*r2*(g - x) + c3*r3*(x - worst)", "Right", ""),
    (3, "w*v + c1*r1*(p - x) + c2*r2*(g - x) + c3*r3*(worst - x)", "Wrong sign: the push", "worst"),
    (3, "w*v + c1*r1*(p - x) + c2*r2*(g - x)", "Missing: the push", "worst"),
]  # fmt: skip


@pytest.mark.parametrize(("chapter", "text", "begins", "says"), ANSWERS)
def test_an_exercise_answers_what_students_type(
    chapter: int, text: str, begins: str, says: str, js: Any
) -> None:
    said = answered(js, chapter, text)
    assert said.startswith(begins) and says in said
