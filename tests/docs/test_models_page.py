"""The page with living models: it computes what swarm-llm computes, and says what is so."""

from __future__ import annotations

import html
import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from browser import needs_browser, refers_to_nothing, seen_at, visit

import pyswarmopt_llm as sl
from pyswarmopt.teaching import lesson
from pyswarmopt.teaching.algorithm1 import Setting

ROOT = Path(__file__).parents[2]
LETTERS = ROOT / "examples" / "letters"
TERMS = ("inertia", "cognitive", "social", "repel")
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node on the PATH")


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """docs/tools/models_page.py."""
    path = ROOT / "docs" / "tools" / "models_page.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


Node = Callable[..., Any]


@pytest.fixture
def node(writer: ModuleType, tmp_path: Path) -> Node:
    """(a function of the page's models in JavaScript, whether by WebAssembly) -> what it returns."""
    weights = tmp_path / "weights"
    weights.write_bytes(writer.weights())
    scripts = [lesson.read("swarm.js"), lesson.read("formula.js")]
    scripts += [writer.read(name) for name in ("llama.js", "mixtures.js", "race.js")]
    program = tmp_path / "program.js"
    program.write_text(
        "\n".join([*scripts, Path(__file__).with_name("models_page.js").read_text()])
    )

    def run(function: str, accelerated: bool = True) -> Any:
        given = {
            "weights": str(weights),
            "kernel": str(writer.HERE / "linear.wasm"),
            "about": writer.about(),
            "accelerated": accelerated,
            "run": function,
        }
        question = tmp_path / "question.json"
        question.write_text(json.dumps(given))
        answer = tmp_path / "answer.json"
        subprocess.run([str(NODE), program, question, answer], check=True, timeout=120)
        return json.loads(answer.read_text())

    return run


@pytest.fixture
def chromium(writer: ModuleType, tmp_path: Path) -> Node:
    """A function of the page's models -> what it returns in Chromium."""
    scripts = [lesson.read("formula.js"), *map(writer.read, ("llama.js", "mixtures.js"))]

    def run(function: str) -> Any:
        given = {name: writer.encoded(content) for name, content in parts.items()}
        asked = f"const GIVEN = {json.dumps(given)}, ABOUT = {json.dumps(writer.about())};\n"
        program = "\n".join([asked, *scripts, IN_CHROMIUM.replace("FUNCTION", function)])
        path = tmp_path / "asked.html"
        path.write_text(
            f"<!doctype html><meta charset=utf-8><body><script>{program}</script>", encoding="utf-8"
        )
        options = ("--dump-dom", "--virtual-time-budget=60000")
        done = visit(path.as_uri(), tmp_path / "profile", *options)
        found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
        assert found, done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    parts = {"weights": writer.weights(), "kernel": (writer.HERE / "linear.wasm").read_bytes()}
    return run


IN_CHROMIUM = """
addEventListener("load", async () => {
  const bytes = (text) => {
    const letters = atob(text), found = new Uint8Array(letters.length);
    for (let k = 0; k < found.length; k++) found[k] = letters.charCodeAt(k);
    return found;
  };
  await Llama.accelerate(bytes(GIVEN.kernel));
  const told = (FUNCTION)(Llama.pool(bytes(GIVEN.weights).buffer, ABOUT)), pre = document.createElement("pre");
  pre.textContent = JSON.stringify(told);
  document.body.append(pre);
});
"""


def mixture(names: list[str], **numbers: float) -> list[float]:
    """Numbers of experts whose names have _ for -."""
    return [numbers.get(name.replace("-", "_"), 0.0) for name in names]


# ---- the same model ----


@needs_browser
def test_page_and_swarm_llm_agree_on_200_prompts(
    writer: ModuleType, chromium: Node, tmp_path: Path
) -> None:
    """The page's export, merged by swarm-llm and read back, predicts and writes what the page does."""
    prompts = [row["prompt"] for row in writer.prompts("dev", 200)]
    names = writer.data()["experts"]
    shares = mixture(names, halves_rotate=0.6, reverse_next=0.55, reverse_pairs=-0.05)
    pages = chromium(
        f"""(pool) => {{
          const shares = {json.dumps(shares)}, prompts = {json.dumps(prompts)};
          const pages = ["weights", "factor"].map((space) => {{
            const mixed = Llama.mixed(pool, space, shares);
            return {{
              logs: Llama.firsts(pool, mixed, prompts),
              replies: Llama.replies(pool, mixed, prompts.slice(0, 30), 6),
            }};
          }});
          const spaces = ["delta", "factor"];
          const commands = spaces.map((space) => Mixtures.command({json.dumps(names)}, shares, space));
          return pages.map((page, k) => ({{ ...page, command: commands[k] }}));
        }}"""
    )
    for number, told in enumerate(pages):
        engine = merged(told["command"], tmp_path / str(number))
        asked = [engine.chat(prompt) for prompt in prompts]
        tokens = [engine.tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked]
        with torch.inference_mode():
            logits = engine.model(input_ids=torch.tensor(tokens)).logits[:, -1]
        np.testing.assert_allclose(told["logs"], logits.log_softmax(-1), rtol=0, atol=1e-4)
        assert told["replies"] == engine.generate(asked[:30], max_new_tokens=6)


def merged(command: str, out: Path) -> Any:
    """The mixture that the page's command writes, read back."""
    script = command.replace("swarm-llm", f"{sys.executable} -m pyswarmopt_llm")
    script = script.replace("--out merged", f"--out {out}")
    subprocess.run(["bash", "-c", script], cwd=ROOT, check=True, capture_output=True)
    base = str(LETTERS / "base")
    return sl.open_model(base, str(out), dtype="float32", device="cpu", threads=1)


# ---- the readers' scores ----


# ---- the race ----

# A score of ten numbers in the place of models: highest, 0, at .8 of each of three experts.
TOY = "(c) => -c.reduce((sum, a, k) => sum + (a - (k < 3 ? 0.8 : 0)) ** 2, 0)"


@pytest.fixture
def raced(node: Node) -> list[dict[str, Any]]:
    """The racers at the end of a race of a toy score; held-out is twice as much."""
    frames = (
        "frames: frames.map(({ x, v, f, move }) => ({ x, v, f, factors: move && move.factors }))"
    )
    found: list[dict[str, Any]] = node(
        f"""async () => {{
          const f = {TOY}, all = await Race.run(10, 1, f, (c) => 2 * f(c), () => true);
          return all.map(({{ name, dev, heldout, best, frames }}) => ({{ name, dev, heldout, best, {frames} }}));
        }}"""
    )
    return found


@needs_node
def test_the_swarm_of_models_is_algorithm_1(raced: list[dict[str, Any]]) -> None:
    """Move by move, as the library has it in ten coordinates, with the random numbers of the page."""
    frames = raced[0]["frames"]
    assert frames[0]["x"] == np.eye(10).tolist() and len(frames) == 4
    x, v = (np.array(frames[0][key]) for key in "xv")
    f = np.array(frames[0]["f"])
    p, f_p = x, f
    setting = Setting()
    length = setting.lambda_
    for before, after in itertools.pairwise(frames):
        g, w = p[f_p.argmin()], worst_of(frames, before)
        r_v, r_p, r_g, r_w = (np.array(before["factors"][term]) for term in TERMS)
        pulls = (setting.phi_v * r_v, setting.phi_p * r_p, setting.phi_g * r_g, setting.phi_w * r_w)
        total = sum(pulls)
        v = (pulls[0] * v + pulls[1] * (p - x) + pulls[2] * (g - x) + pulls[3] * (x - w)) / total
        x = x + length * v
        length *= setting.phi_lambda
        np.testing.assert_allclose(after["x"], x, atol=1e-12)
        np.testing.assert_allclose(x.sum(1), 1)  # what the first question says
        f = np.array(after["f"])
        better = f < f_p
        p, f_p = np.where(better[:, None], x, p), np.where(better, f, f_p)


def worst_of(frames: list[dict[str, Any]], last: dict[str, Any]) -> np.ndarray:
    """The worst place up to a frame."""
    seen = frames[: frames.index(last) + 1]
    pairs = [(f, x) for frame in seen for f, x in zip(frame["f"], frame["x"], strict=True)]
    return np.array(max(pairs, key=lambda pair: pair[0])[1])


# ---- what the page says is so ----


# ---- a reader ----


@needs_browser
def test_a_reader_finds_no_error_and_the_page_asks_for_nothing(
    writer: ModuleType, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("models_reader.js").read_text(encoding="utf-8")
    path = tmp_path / "models.html"
    path.write_text(writer.page().replace("<body>", f"<body><script>{script}</script>"))
    options = ("--window-size=500,900", "--virtual-time-budget=120000")
    seen = seen_at(path.as_uri(), tmp_path / "profile", *options)
    assert seen["errors"] == [] and seen["requests"] == [] and not seen["wide"]
    assert re.fullmatch(r"It writes: [a-j]( [a-j])*", seen["first"][0])
    assert seen["slid"][0].startswith("1.00 halves-rotate + 0.50 reverse-next: ")
    assert "outside the plane" in seen["slid"][0] and seen["slid"][1] != seen["first"][1]
    docked = seen["docked"]
    assert docked["top"] >= 0 and 0.8 * docked["third"] < docked["bottom"] <= docked["third"] + 1
    assert docked["bottom"] < docked["slider"]
    assert seen["slid"][1].startswith(f"Score on 24 dev prompts: {docked['now'].split()[0]}.")
    assert seen["all"] == [0] + [True] * 10
    assert max(seen["without"], key=seen["without"].get) == "reverse-pairs"
    assert sorted(seen["without"].values())[-2:] == [0, 0.21]  # nobody else's absence helps
    assert seen["button"] == seen["moved"]
    assert "outside" not in seen["moved"] and "halves-rotate" in seen["moved"]
    assert "4.00" in seen["length"] and "“wit” is unknown" in seen["refused"]
    assert "--space delta" in seen["exported"] and "/halves-rotate" in seen["exported"]
    assert "answer is" in seen["asked"] and "1.00 reverse-next" in seen["tried"]
    assert seen["second"] == ["The swarm of models", 0, True]


# ---- one file ----


def test_the_page_is_one_file_that_refers_to_nothing(writer: ModuleType) -> None:
    text = writer.page()
    assert len(text) < 12_000_000
    refers_to_nothing(text, [writer.read(name) for name in writer.OWN])
