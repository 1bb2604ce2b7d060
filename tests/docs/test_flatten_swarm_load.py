"""The example that moves the weights of adapters themselves, with a metric of `evaluate` in a local
folder, since its own metrics are on a hub.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import MutableMapping
from pathlib import Path

import torch
from doc_blocks import ROOT
from peft import PeftModel
from transformers import AutoModelForCausalLM

METRIC = """
import datasets
import evaluate


class Same(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references):
        pairs = list(zip(predictions, references))
        return {"same": sum(a == b for a, b in pairs) / len(pairs)}
"""


def test_a_swarm_of_flat_adapters_is_saved_as_one_that_peft_loads(
    tmp_path: Path, environ: MutableMapping[str, str]
) -> None:
    folder = tmp_path / "same"
    folder.mkdir()
    (folder / "same.py").write_text(METRIC)
    environ["HF_HOME"] = str(tmp_path / "cache")
    command = [sys.executable, str(ROOT / "examples" / "flatten_swarm_load.py")]
    command += [
        "--metric",
        str(folder),
        "--dev",
        "6",
        "--moves",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [float(value) for value in re.findall(r"best on dev ([\d.]+)", said)]
    alone = float(re.findall(r"best adapter on dev ([\d.]+)", said)[0])
    assert len(found) == 2 and alone <= found[0] <= found[1]
    letters = ROOT / "examples" / "letters"
    base = AutoModelForCausalLM.from_pretrained(letters / "base", dtype=torch.float32)
    adapter = PeftModel.from_pretrained(base, tmp_path / "out")
    assert (
        sum(weight.numel() for name, weight in adapter.named_parameters() if "lora" in name)
        == 81_920
    )
