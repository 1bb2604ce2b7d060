"""The lesson: its page moves swarms as the library does, keeps what it promises, and needs nothing
else.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import refers_to_nothing
from hypothesis import given
from hypothesis import strategies as st
from lesson_recordings import (
    BOUNDARIES,
    LANDSCAPES,
    TOPOLOGIES,
    Settings,
    data,
    recording,
    steps_of,
)

import pyswarmopt as pso
from pyswarmopt.teaching import lesson

quickjs = pytest.importorskip("quickjs", reason="the page's script runs in quickjs (extra: test)")
TERMS = ("inertia", "cognitive", "social", "repel")


class Page:
    """The page's swarm.js in a JavaScript engine."""

    def __init__(self) -> None:
        self._context = quickjs.Context()
        self._context.eval((Path(lesson.__file__).parent / "swarm.js").read_text())

    def __call__(self, expression: str, **values: Any) -> Any:
        names = ", ".join(values)
        call = (
            f"JSON.stringify((({names}) => "
            f"{expression})({', '.join(map(json.dumps, values.values()))}))"
        )
        return json.loads(self._context.eval(call))

    def many(self, settings: Settings, moves: int, seeds: int) -> dict[str, Any]:
        given = {"s": asdict(settings), "optima": optima(settings), "seeds": seeds, "moves": moves}
        told: dict[str, Any] = self("Swarm.many(s, optima, seeds, moves)", **given)
        return told


def optima(settings: Settings) -> list[list[float]]:
    """The best points of the landscape."""
    return [
        [x + d for x, d in zip(p, settings.shift, strict=True)]
        for p in LANDSCAPES[settings.landscape]
    ]


def settings_of(chapter: dict[str, Any]) -> Settings:
    return Settings(**chapter["settings"])


def recording_of(chapter: dict[str, Any]) -> list[dict[str, Any]]:
    return recording(settings_of(chapter), chapter["moves"], chapter["seed"])


@pytest.fixture(scope="module")
def js() -> Page:
    return Page()


# ---- the same update ----

weights = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.4])
SETTINGS = st.builds(
    Settings,
    landscape=st.sampled_from(sorted(LANDSCAPES)),
    shift=st.sampled_from([(0.0, 0.0), (0.7, -1.3)]),
    particles=st.integers(2, 12),
    inertia=st.sampled_from([0.2, 0.7]),
    cognitive=weights,
    social=weights,
    repel=st.sampled_from([0.0, 0.05, 0.3]),
    step=st.sampled_from([1.0, 0.8]),
    decay=st.sampled_from([1.0, 0.9]),
    topology=st.sampled_from(TOPOLOGIES),
    boundary=st.sampled_from(BOUNDARIES),
    restart=st.sampled_from([0, 2, 5]),
    experts=st.sampled_from([(), ((-4.0, -2.0), (3.0, 1.0))]),
    launch=st.sampled_from([0.5, 1.0]),
).flatmap(
    lambda s: st.sampled_from(
        [replace(s, random="element")]
        + [replace(s, random=r, normalise=n) for r in ("scalar", "none") for n in (False, True)]
    )
)


@given(settings=SETTINGS, seed=st.integers(0, 1000))
def test_page_and_library_give_the_same_trajectory(settings: Settings, seed: int, js: Page) -> None:
    steps = steps_of(settings, 12, seed)
    factors = [{name: f.tolist() for name, f in step.factors.items()} for step in steps[1:]]
    start = {"x": steps[0].x.tolist(), "v": steps[0].v.tolist()}
    run = "Swarm.run(x, v, s, 12, factors, null)"
    frames = js(run, **start, s=asdict(settings), factors=factors)
    for frame, step in zip(frames, steps, strict=True):
        close = {"rtol": 1e-6, "atol": 1e-6 * (1 + abs(step.x).max())}
        np.testing.assert_allclose(frame["x"], step.x, **close)
        np.testing.assert_allclose(frame["p"], step.p, **close)
        np.testing.assert_allclose(frame["f"], step.values, rtol=1e-4, atol=1e-4)
        sent_elsewhere = np.array(frame["restarted"]) & (step.x != step.p).any(axis=1)
        assert sent_elsewhere.tolist() == step.restarted.tolist()
    for frame, step in zip(frames[:-1], steps[1:], strict=True):
        for name in TERMS:
            force = frame["move"]["forces"][name]
            np.testing.assert_allclose(force, step.forces[name], rtol=1e-5, atol=1e-5)


def test_page_minimises_a_readers_function_as_minimize_does(js: Page) -> None:
    """`Minimise it` in the first chapter: its start, and the random numbers of its recording."""
    chapter = lesson.CHAPTERS[0]
    settings, frames = settings_of(chapter), recording_of(chapter)
    found = js(
        "(Swarm.define(([a, b]) => (a * a + b - 11) ** 2 + 3 * Math.sin(2 * a)), "
        "Swarm.run(x, v, {...s, landscape: 'own', shift: [0, 0]}, moves, factors, null))",
        x=frames[0]["x"],
        v=frames[0]["v"],
        s=asdict(settings),
        moves=chapter["moves"],
        factors=[frame["move"]["factors"] for frame in frames[:-1]],
    )[-1]
    result = pso.minimize(
        lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + 3 * math.sin(2 * x[0]),
        [(settings.low, settings.high)] * 2,
        recipe=settings.recipe(),
        population=settings.particles,
        max_iter=chapter["moves"],
        seed=chapter["seed"],
    )
    assert found["best"] == pytest.approx(result.fun, abs=1e-4)
    np.testing.assert_allclose(found["leader"], result.x, atol=1e-4)


def test_landscapes_are_the_librarys(js: Page) -> None:
    x = np.random.default_rng(0).uniform(-5, 5, (40, 2))
    for name, optima in LANDSCAPES.items():
        settings = Settings(name, (0.5, -0.25))
        values = js("x.map(Swarm.landscape(s))", x=x.tolist(), s=asdict(settings))
        np.testing.assert_allclose(values, settings.function()(x), rtol=1e-10)
        function = pso.functions.ALL[name]
        for best in optima:
            assert function(best) == pytest.approx(function.optimal_value(2), abs=1e-8)


# ---- what the lesson says is so ----


def follow(js: Page, settings: Settings, moves: int, seed: int) -> list[dict[str, Any]]:
    populate = "const { x, v } = Swarm.populate(s, r)"
    run = f"((r) => {{ {populate}; return Swarm.run(x, v, s, moves, [], r); }})"
    frames = js(f"{run}(Swarm.generator(seed))", s=asdict(settings), moves=moves, seed=seed)
    return list(frames)


def changed(chapter: dict[str, Any], question: int) -> Settings:
    return replace(settings_of(chapter), **chapter["questions"][question]["change"])


def test_chapter_1_claims(js: Page) -> None:
    pulls = lesson.CHAPTERS[0]
    frames = recording_of(pulls)
    pairs = itertools.product(frames[1:-1], range(6))
    leaders = [(f, i) for f, i in pairs if f["f"][i] == f["pf"][i] == f["best"]]
    assert leaders
    for frame, i in leaders:  # on p and g: only inertia is left
        forces = frame["move"]["forces"]
        assert forces["cognitive"][i] == forces["social"][i] == [0.0, 0.0]
        assert any(forces["inertia"][i])
    alone, together = (js.many(s, 25, 15) for s in (changed(pulls, 1), settings_of(pulls)))
    assert alone["spread"] > 2 * together["spread"]


def test_chapter_3_claims(js: Page) -> None:
    wild = lesson.CHAPTERS[2]
    wide = js.many(settings_of(wild), 40, 10)["spread"]
    assert js.many(changed(wild, 0), 40, 10)["spread"] < wide / 2
    assert js.many(changed(wild, 1), 40, 10)["spread"] > 10 * wide
    ends = [follow(js, changed(wild, 2), 40, seed)[-1]["leader"] for seed in range(14)]
    nearest = {
        min(range(4), key=lambda k: math.dist(end, optima(settings_of(wild))[k])) for end in ends
    }
    assert len(nearest) >= 3
    assert math.isclose(24 * (1 - 0.81) / (7 - 4.5), 1.824)
    chi = 2 / abs(2 - 4.1 - math.sqrt(4.1**2 - 4 * 4.1))
    assert (chi, 4.1 * chi) == pytest.approx((0.7298, 2.992), abs=1e-3)
    assert 24 * (1 - chi**2) / (7 - 5 * chi) == pytest.approx(3.347, abs=1e-3)


def test_chapter_4_claims(js: Page) -> None:
    experts = lesson.CHAPTERS[3]
    base, far = (js.many(s, 40, 10) for s in (settings_of(experts), changed(experts, 0)))
    assert far["spread"] > 2 * base["spread"]
    alone = js.many(replace(settings_of(experts), repel=0.0), 40, 10)
    assert alone["spread"] < 0.01 * base["spread"]
    assert js.many(replace(settings_of(experts), restart=0), 40, 10)["spread"] < base["spread"]
    start = recording(settings_of(experts), 0, 3)[0]
    given = {"x": start["x"], "v": start["v"], "s": asdict(changed(experts, 1))}
    run = "Swarm.run(x, v, s, 20, [], Swarm.generator(seed))"
    assert js(run, **given, seed=1) == js(run, **given, seed=2)


# ---- one file, whole ----


def test_page_is_one_file_that_refers_to_nothing() -> None:
    text = lesson.page()
    scripts = [(Path(lesson.__file__).parent / name).read_text() for name in lesson.SCRIPTS]
    refers_to_nothing(text, scripts)
    assert len(text) < 1_500_000


# ---- NumPy alone ----


def test_stored_copy_is_what_the_library_records() -> None:
    stored, fresh = lesson.stored(), data()
    again = "run python tests/core/helpers/lesson_recordings.py"
    assert stored["source"] == fresh["source"], again
    assert "(x - worst)" in str(stored["source"])  # w is the inertia
    for one, other in zip(stored.pop("recordings"), fresh.pop("recordings"), strict=True):
        assert one["settings"] == json.loads(json.dumps(other["settings"])), again
        for key in ("x", "p", "best"):
            ours, theirs = ([frame[key] for frame in run["frames"]] for run in (one, other))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=again)


def test_lesson_needs_numpy_alone(tmp_path: Path) -> None:
    out = tmp_path / "lesson.html"
    program = (
        "import sys\n"
        "for name in ('torch', 'typer', 'rich', 'scipy'): sys.modules[name] = None\n"
        "from pathlib import Path; from pyswarmopt.teaching.lesson import write\n"
        f"write(Path({str(out)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
