#!/usr/bin/env python3
"""Whether llama.cpp chooses the options that we score, from a file of few bits made of an export.

    python research/benchmarks/served_by_llama_cpp.py runs/few --folder runs/few-served \\
        --converter llama.cpp/convert_hf_to_gguf.py --outcomes runs/llama-cpp.jsonl

The run is one of `search --quantize`. Its export is converted by llama.cpp's converter and quantised by
llama.cpp; the first test prompts are answered by llama-cpp-python on both files, and by us in float32. A line for
each file, with the number of our choice and of llama.cpp's for each prompt, the right one's, and by how much the
log-probability of our choice leads. The file in float32 has the same weights; llama.cpp rounds activations to
8 bits only with the other one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import gguf
import numpy as np

from pyswarmopt_llm.mix.load import open_model
from pyswarmopt_llm.run.directory import read_about
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.tools.export import export_model

Pairs = Sequence[tuple[str, str]]


class LlamaCpp:
    """Log-probabilities of continuations by llama.cpp, with the interface of an engine.

    Args:
        file: a GGUF file.
    """

    def __init__(self, file: Path) -> None:
        import llama_cpp

        self._model = llama_cpp.Llama(
            str(file), n_ctx=1024, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False
        )
        self._context = ""  # the last one

    def loglikelihood(self, pairs: Pairs) -> list[float]:
        """The log-probability of each continuation after its context."""
        return [self._of(*pair) for pair in pairs]

    def _of(self, context: str, continuation: str) -> float:
        model = self._model
        before = model.tokenize(context.encode(), add_bos=False, special=True)
        ids = model.tokenize((context + continuation).encode(), add_bos=False, special=True)
        if context != self._context:
            model.reset()
            model.eval(before)
            self._context = context
        model.n_tokens = len(before)  # what follows is of the last continuation
        model.eval(ids[len(before) :])
        logits = np.array(model.scores[len(before) - 1 : len(ids) - 1], np.float64)
        logits -= logits.max(1, keepdims=True)
        chosen = logits[np.arange(len(logits)), ids[len(before) :]]
        return float((chosen - np.log(np.exp(logits).sum(1))).sum())


def quantised(source: Path, out: Path, name: str) -> Path:
    """A GGUF file in a format, by llama.cpp."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = 1
    parameters.ftype = gguf.LlamaFileType[f"MOSTLY_{name.upper()}"]
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), parameters):
        raise RuntimeError(f"llama.cpp does not quantise {source}")
    return out


def files(run: str, folder: Path, converter: str, name: str) -> tuple[Path, dict[str, Path]]:
    """The export of a run, and its GGUF files by format; those that are there are kept."""
    merged, whole, few = folder / "merged", folder / "f32.gguf", folder / f"{name}.gguf"
    if not merged.exists():
        export_model(run, merged)
    if not whole.exists():
        convert = [sys.executable, converter, merged, "--outfile", whole, "--outtype", "f32"]
        subprocess.run(list(map(str, convert)), check=True, stdout=sys.stderr)
    if not few.exists():
        quantised(whole, few, name)
    return merged, {"f32": whole, name: few}


def compared(run: str, folder: Path, converter: str, prompts: int) -> Iterator[dict[str, object]]:
    """The choices of each file beside ours."""
    config = read_about(Path(run)).config
    if not config.quantize:
        raise ValueError(f"{run} is no run of `search --quantize`")
    merged, made = files(run, folder, converter, config.quantize)
    items = load_task(config.tasks[0], dev=config.dev, test=prompts).test
    engine = open_model(str(merged), dtype="float32", threads=1)
    metric = Accuracy(items, "likelihood", engine.chat, None)
    ours = [list(scores.values()) for scores in metric.option_scores(engine)]
    right = [item.letters.index(item.answer) for item in items]
    leads = [round(float(np.diff(np.sort(scores)[-2:])[0]), 4) for scores in ours]
    for name, file in made.items():
        theirs = [list(scores.values()) for scores in metric.option_scores(LlamaCpp(file))]
        yield {
            "run": Path(run).name,
            "file": name,
            "right": right,
            "ours": [int(np.argmax(scores)) for scores in ours],
            "theirs": [int(np.argmax(scores)) for scores in theirs],
            "lead": leads,
            "furthest": float(np.abs(np.subtract(ours, theirs)).max()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--converter", required=True, help="llama.cpp's convert_hf_to_gguf.py")
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=50)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for line in compared(options.run, options.folder, options.converter, options.prompts):
        with options.outcomes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        same = np.equal(line["ours"], line["theirs"])
        print(line["file"], same.sum(), "of", len(same), "alike;", line["furthest"], flush=True)


if __name__ == "__main__":
    main()
