"""The page with living models: it computes what swarm-llm computes, and says what is so."""

from __future__ import annotations

import importlib.util
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

import pyswarmopt_llm as sl
from pyswarmopt.teaching import lesson

ROOT = Path(__file__).parents[2]
LETTERS = ROOT / "examples" / "letters"
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
    scripts += [writer.read(name) for name in writer.OWN if name != "page.js"]
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


def mixture(names: list[str], **numbers: float) -> list[float]:
    """Numbers of experts whose names have _ for -."""
    return [numbers.get(name.replace("-", "_"), 0.0) for name in names]


# ---- the same model ----


@needs_node
@pytest.mark.parametrize(("space", "kind"), [("weights", "delta"), ("factor", "factor")])
def test_page_and_swarm_llm_agree_on_200_prompts(
    space: str, kind: str, writer: ModuleType, node: Node, tmp_path: Path
) -> None:
    """The page's export, merged by swarm-llm and read back, predicts and writes what the page does."""
    prompts = [row["prompt"] for row in writer.prompts("dev", 200)]
    names = writer.data()["experts"]
    shares = mixture(names, halves_rotate=0.6, reverse_next=0.55, rotate_swap=-0.2)
    given = f"pool, Llama.mixed(pool, {space!r}, {json.dumps(shares)})"
    told = node(
        f"""(pool) => ({{
          file: Mixtures.exported({json.dumps(names)}, {json.dumps(shares)}),
          logs: Llama.firsts({given}, {json.dumps(prompts)}),
          replies: Llama.replies({given}, {json.dumps(prompts[:30])}, 6),
        }})"""
    )
    file = tmp_path / "mixture.json"
    file.write_text(told["file"])
    base, experts = str(LETTERS / "base"), sorted(map(str, LETTERS.glob("experts/*")))
    merged = tmp_path / "merged"
    sl.merge(base, experts, "uniform-soup", kind, merged, weights=str(file))
    engine: Any = sl.open_model(base, str(merged), dtype="float32", device="cpu", threads=1)
    asked = [engine.chat(prompt) for prompt in prompts]
    tokens = [engine.tokenizer(text, add_special_tokens=False)["input_ids"] for text in asked]
    with torch.inference_mode():
        logits = engine.model(input_ids=torch.tensor(tokens)).logits[:, -1]
    np.testing.assert_allclose(told["logs"], logits.log_softmax(-1), rtol=0, atol=1e-4)
    assert told["replies"] == engine.generate(asked[:30], max_new_tokens=6)


@needs_node
def test_without_webassembly_the_page_computes_the_same(writer: ModuleType, node: Node) -> None:
    prompts = json.dumps([row["prompt"] for row in writer.prompts("dev", 5)])
    shares = json.dumps([0.3] * 10)
    run = f"(pool) => Llama.firsts(pool, Llama.mixed(pool, 'weights', {shares}), {prompts})"
    np.testing.assert_allclose(node(run, accelerated=False), node(run), rtol=0, atol=1e-4)


# ---- the readers' scores ----


@needs_node
def test_scores_of_replies_are_those_worked_by_hand(node: Node) -> None:
    cases = {
        "right": [("d c b a", "d c b a", 1), ("d c a b", "d c b a", 0)],
        "score = places": [("d c a b", "d c b a", 0.5), ("", "d c b a", 0)],
        "2a - length/2": [("a b a", "d c b a", 2.5)],
    }
    rows = [(text, *case) for text, of in cases.items() for case in of]
    run = f"() => {json.dumps(rows)}.map(([text, said, right]) => Mixtures.scoreOf(text)(said, right))"
    assert node(run) == [wanted for *_, wanted in rows]


@needs_node
def test_a_point_of_the_plane_is_a_mixture_and_back(node: Node) -> None:
    told = node(
        """() => {
          const corners = [2, 6, 9], point = [1.25, -0.5], shares = Mixtures.candidateAt(point, corners, 10);
          return {
            shares, back: Mixtures.pointOf(shares, corners), inside: Mixtures.inPlane(shares, corners),
            expert: Mixtures.pointOf(Mixtures.unit(10, 6), corners), base: Mixtures.inPlane(Array(10).fill(0), corners),
            height: Mixtures.surface([[0, 1], [2, 3]], -1, 1)([0.5, -0.5]),
          };
        }"""
    )
    assert sum(told["shares"]) == pytest.approx(1)
    assert {k for k, share in enumerate(told["shares"]) if share} == {2, 6, 9}
    assert told["back"] == pytest.approx([1.25, -0.5]) and told["inside"] and not told["base"]
    assert told["expert"] == pytest.approx([3.4, -2.4])
    assert told["height"] == pytest.approx(
        0.75 * 1 + 0.25 * 2
    )  # a quarter up, three quarters across


# ---- what the page says is so ----


@needs_node
def test_claims_of_ten_models_one_line(writer: ModuleType, node: Node) -> None:
    content = writer.data()
    names, two = content["experts"], {"halves_rotate": 0.7, "reverse_next": 0.7}
    questions = {
        "first": ("weights", mixture(names, halves_rotate=1)),
        "second": ("weights", mixture(names, reverse_next=1)),
        "both": ("weights", mixture(names, halves_rotate=1, reverse_next=1)),
        "factors": ("factor", mixture(names, halves_rotate=1, reverse_next=1)),
        "all": ("weights", [1.0] * 10),
        "none": ("weights", [0.0] * 10),
        "average": ("weights", [0.1] * 10),
    }
    questions |= {
        name: ("weights", mixture(names, **two, **{name.replace("-", "_"): 0.5}))
        for name in ("sort-back", "next-mirror", "rotate-swap", "fall-reverse", "back-fall")
    }
    prompts = content["prompts"]["heldout"]
    told = node(
        f"""(pool) => {{
          const write = Mixtures.writer(pool), prompts = {json.dumps(prompts)};
          return {json.dumps(list(questions.values()))}.map(([space, shares]) =>
            Mixtures.value(Mixtures.scoreOf("right"), prompts, write(space, shares, prompts)));
        }}"""
    )
    right = dict(zip(questions, told, strict=True))
    assert right["both"] > max(right["first"], right["second"])
    assert right["factors"] < min(right["first"], right["second"])
    assert right["sort-back"] < right["next-mirror"] < right["back-fall"] < right["rotate-swap"]
    assert right["rotate-swap"] == pytest.approx(right["fall-reverse"], abs=0.02)
    assert right["all"] == 0 and abs(right["average"] - right["none"]) < 0.1


def test_questions_name_experts_that_are_there(writer: ModuleType) -> None:
    content = writer.data()
    for chapter in content["chapters"]:
        assert chapter["questions"] and chapter["exercises"]
        for question in chapter["questions"]:
            assert 0 <= question["answer"] < len(question["choices"])
            mixed = question.get("mixture", {})
            assert mixed == "all" or set(mixed) <= set(content["experts"])


# ---- one file ----


def test_the_page_is_one_file_that_refers_to_nothing(writer: ModuleType) -> None:
    text = writer.page()
    assert len(text) < 12_000_000
    tags = text.split("<script")[0] + "".join(re.findall(r"<script[^>]*>", text))
    ids, labelled = (re.findall(rf'\s{name}="([^"]*)"', tags) for name in ("id", "for"))
    references = re.findall(r'\s(?:src|href)="([^"]*)"', tags)
    assert [r for r in references if not r.startswith(("#", "data:"))] == []
    assert "{{" not in tags and "default-src 'none'" in text
    assert len(set(ids)) == len(ids) and set(labelled) <= set(ids)
    asked = [re.findall(r'\$\("([\w-]+)"\)', writer.read(name)) for name in writer.OWN]
    assert {name for names in asked for name in names} <= set(ids)


def test_the_weights_are_below_3_mb(writer: ModuleType) -> None:
    content = re.search(r'id="weights">([^<]*)<', writer.page())
    assert content and len(content[1]) * 3 / 4 < 3_000_000
