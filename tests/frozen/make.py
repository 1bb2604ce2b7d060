"""Make the frozen files of this folder anew: models, interrupted and finished runs, checkpoints, snapshots.

    OMP_NUM_THREADS=1 python tests/frozen/make.py [models] [runs] [checkpoints] [snapshots]

When one may:

- `snapshots`: whenever a help text, an option, a JSON key or a public name was changed on purpose. Read the diff.
- `models`, `runs`, `checkpoints`: never to make a test pass. They were written by an earlier version, and a person's
  files of that version must still resume. Only a new file format, named as such in the changelog, replaces them;
  better, a further run is added beside them.

Runs and checkpoints must come out the same on every machine, so nothing in them may depend on the last bit of a matrix
product: models compute in float32 and answers are right or wrong by a wide margin. `make.py elsewhere` resumes them
with the kernels of other processors, as far as this one can imitate them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE.parent / "llm"))
sys.path.insert(0, str(HERE.parent / "llm" / "helpers"))
sys.path.insert(0, str(HERE.parent / "core" / "helpers"))

Json = dict[str, Any]
WIDTH, INNER, LAYERS, RANK = 16, 24, 2, 2
WORDS = "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch marsh north ocean pearl".split()
TARGETS = {"self_attn.q_proj": (WIDTH, WIDTH), "self_attn.v_proj": (WIDTH, WIDTH), "mlp.down_proj": (WIDTH, INNER)}

COMMON = "--particles 6 --seed 1 --threads 1 --dtype float32 --scoring likelihood --early-stop off".split()
ADAPTERS = ["experts/ant", "experts/bee", "experts/cat"]
WITH_BASE = ["--base", "base", "--experts", *ADAPTERS]
RUNS: dict[str, tuple[list[str], int]] = {  # name -> what was asked for, evaluations after which it was interrupted
    "factor": ([*WITH_BASE, "--task", "words.json", "--max-iter", "5"], 20),
    "delta-screened": (
        [*WITH_BASE, "--task", "words.json", "--max-iter", "6", "--space", "delta", "--screen", "0.05"],
        24,
    ),
    "token": (
        [*WITH_BASE, "experts/gpt", "--task", "words.json", "--max-iter", "4", "--space", "token"],
        18,
    ),
    "two-tasks": ([*WITH_BASE, "--task", "words.json", "--task", "more.json", "--max-iter", "4"], 18),
    "async": ([*WITH_BASE, "--task", "words.json", "--max-iter", "5", "--async", "--workers", "2"], 20),
}


# Models and tasks: numbers with few bits, so that they are the same wherever they are made


def numbers(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    return (rng.integers(-127, 128, shape) * scale / 64).astype(np.float32)


def save_tokenizer(folder: Path) -> int:
    from conftest import save_tiny_tokenizer

    return save_tiny_tokenizer(folder)


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def make_llama(folder: Path) -> None:
    size = save_tokenizer(folder)
    rng = np.random.default_rng(0)
    tensors = {"model.embed_tokens.weight": numbers(rng, (size, WIDTH), 0.5)}
    for i in range(LAYERS):
        layer = f"model.layers.{i}."
        shapes = {"q": (WIDTH, WIDTH), "k": (8, WIDTH), "v": (8, WIDTH), "o": (WIDTH, WIDTH)}
        shapes = {f"self_attn.{name}_proj": shape for name, shape in shapes.items()}
        shapes |= {"mlp.gate_proj": (INNER, WIDTH), "mlp.up_proj": (INNER, WIDTH), "mlp.down_proj": (WIDTH, INNER)}
        tensors |= {f"{layer}{name}.weight": numbers(rng, shape, 0.25) for name, shape in shapes.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}{norm}.weight"] = np.ones(WIDTH, np.float32)
    tensors["model.norm.weight"] = np.ones(WIDTH, np.float32)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": size, "hidden_size": WIDTH,
        "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 2048, "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1, "dtype": "float32",
    }  # fmt: skip
    write(folder / "config.json", config)


def make_gpt(folder: Path) -> None:
    size, n = save_tokenizer(folder), 12
    rng = np.random.default_rng(1)
    tensors = {"transformer.wte.weight": numbers(rng, (size, n), 0.5)}
    tensors["transformer.wpe.weight"] = numbers(rng, (256, n), 0.25)
    h = "transformer.h.0."
    shapes = {"attn.c_attn": (n, 3 * n), "attn.c_proj": (n, n), "mlp.c_fc": (n, 2 * n), "mlp.c_proj": (2 * n, n)}
    for name, shape in shapes.items():
        tensors[f"{h}{name}.weight"] = numbers(rng, shape, 0.25)
        tensors[f"{h}{name}.bias"] = numbers(rng, shape[1:], 0.1)
    for norm in (f"{h}ln_1", f"{h}ln_2", "transformer.ln_f"):
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = np.ones(n, np.float32), np.zeros(n, np.float32)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": size, "n_embd": n, "n_layer": 1,
        "n_head": 2, "n_positions": 256, "n_inner": 2 * n, "tie_word_embeddings": True,
        "bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1, "dtype": "float32",
    }  # fmt: skip
    write(folder / "config.json", config)


def make_adapter(folder: Path, seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    tensors = {}
    for i in range(LAYERS):
        for name, (rows, columns) in TARGETS.items():
            rows = 8 if name.endswith("v_proj") else rows
            module = f"base_model.model.model.layers.{i}.{name}"
            tensors[f"{module}.lora_A.weight"] = numbers(rng, (RANK, columns), 0.25)
            tensors[f"{module}.lora_B.weight"] = numbers(rng, (rows, RANK), 0.25)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    modules = sorted(name.rsplit(".", 1)[-1] for name in TARGETS)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 4, "target_modules": modules}
    write(folder / "adapter_config.json", {**config, "base_model_name_or_path": "base"})


def questions(n: int, seed: int) -> list[Json]:
    rng = random.Random(seed)
    return [
        {
            "id": f"{seed}-{i}",
            "question": f"{' '.join(rng.sample(WORDS, 3))} number {seed * 1000 + i}?",
            "choices": dict(zip("ABC", rng.sample(WORDS, 3), strict=True)),
            "answer": rng.choice("ABC"),
        }
        for i in range(n)
    ]


def make_models() -> None:
    folder = HERE / "models"
    shutil.rmtree(folder, ignore_errors=True)
    make_llama(folder / "base")
    for seed, path in enumerate(ADAPTERS, 1):
        make_adapter(folder / path, seed)
    make_gpt(folder / "experts" / "gpt")
    write(folder / "words.json", {"dev": questions(24, 1), "test": questions(12, 2)})
    write(folder / "more.json", {"dev": questions(16, 3), "test": questions(12, 4)})


# Runs: interrupted by what they print, so that the place does not depend on a clock


class Interrupting:
    """Standard output that presses Ctrl-C at the n-th evaluation."""

    def __init__(self, n: int) -> None:
        self.left = n

    def write(self, text: str) -> int:
        self.left -= '"event": "evaluation"' in text
        if self.left == 0:
            raise KeyboardInterrupt
        return len(text)

    def flush(self) -> None: ...


def swarm_llm(*words: str) -> int:
    from pyswarmopt_llm.cli import main

    try:
        main(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def interrupted(words: list[str], evaluations: int) -> None:
    """A search in the current directory, stopped in mid-iteration."""
    sys.stdout = Interrupting(evaluations)  # type: ignore[assignment]
    try:
        code = swarm_llm("search", *words, *COMMON, "--out", "run", "--json-lines")
    finally:
        sys.stdout = sys.__stdout__
    if code != 130:
        raise SystemExit(f"the search ended with {code} before it was interrupted")


def lasting(result: Json) -> Json:
    """``result.json`` without what a clock, the operating system or an author of sentences wrote."""
    passing = ("seconds", "seconds_scoring", "peak_memory_bytes", "workers", "notes")
    return {key: value for key, value in result.items() if key not in passing}


def make_run(name: str, words: list[str], evaluations: int) -> None:
    out = HERE / "runs" / name
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        os.chdir(folder)
        interrupted(words, evaluations)
        about = json.loads(Path("run/run.json").read_text())
        about["config"]["workers"] = "1"  # of several the rest of the run would depend on who answers first
        write(out / "interrupted" / "run.json", {**about, "base_name": "base"})
        lines = Path("run/history.jsonl").read_text().splitlines(keepends=True)
        (out / "interrupted" / "history.jsonl").write_text("".join(lines) + lines[-1][:50])  # as a kill leaves it
        (out / "interrupted" / "checkpoint").mkdir()
        shutil.copy("run/checkpoint/swarm.npz", out / "interrupted" / "checkpoint")
        shutil.copy(out / "interrupted" / "run.json", "run")
        if code := swarm_llm("resume", "run", "--quiet", "--json"):
            raise SystemExit(f"resume ended with {code}")
        (out / "finished").mkdir()
        shutil.copy("run/history.jsonl", out / "finished")
        shutil.copytree("run/checkpoint", out / "finished" / "checkpoint")
        write(out / "finished" / "result.json", lasting(json.loads(Path("run/result.json").read_text())))
        os.chdir(HERE)


def make_runs() -> None:
    for name, (words, evaluations) in RUNS.items():
        make_run(name, words, evaluations)


# Checkpoints of the core


def make_checkpoints() -> None:
    import frozen_searches as searches

    folder = HERE / "checkpoints"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    swarm = searches.swarm()
    searches.drive(swarm, searches.ROUNDS)
    swarm.save(folder / "model-swarms.npz")
    write(folder / "model-swarms.json", searches.drive(swarm, searches.ROUNDS))
    for name, stop_after in (("constriction", 100), ("memetic", 400)):
        file, copy = folder / f"{name}.npz", folder / "copy.npz"
        searches.at_the_lowest(name, file, stop_after)
        shutil.copy(file, copy)
        write(folder / f"{name}.json", searches.at_the_lowest(name, copy))
        copy.unlink()


# Snapshots of the interface


def make_snapshots() -> None:
    import frozen_interface as interface

    for program in interface.MAINS:
        (HERE / f"{program}.help.txt").write_text(interface.help_of(program), encoding="utf-8")
    write(HERE / "names.json", interface.names())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        os.chdir(folder)
        found = interface.shapes()
        os.chdir(HERE)
    write(HERE / "json-keys.json", found)


# The same tests under the kernels of other processors, as far as this one can imitate them

NO_512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
PROCESSORS: list[dict[str, str]] = [
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    {"NPY_DISABLE_CPU_FEATURES": NO_512},
    {"OPENBLAS_CORETYPE": "Nehalem"},
    {"OPENBLAS_CORETYPE": "Haswell"},
    {"OPENBLAS_CORETYPE": "SkylakeX"},
]


def elsewhere() -> None:
    tests = ["tests/llm/test_frozen_runs.py", "tests/core/test_frozen_checkpoints.py"]
    for settings in PROCESSORS:
        print(settings, flush=True)
        words = [sys.executable, "-m", "pytest", "-q", *tests]
        subprocess.run(words, cwd=HERE.parents[1], env={**os.environ, **settings}, check=True)


PARTS: dict[str, Callable[[], None]] = {
    "models": make_models, "runs": make_runs, "checkpoints": make_checkpoints, "snapshots": make_snapshots,
}  # fmt: skip

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        {**PARTS, "elsewhere": elsewhere}[part]()
