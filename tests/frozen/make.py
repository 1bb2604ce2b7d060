"""Make the frozen files of this folder anew: tiny models, and snapshots of the interface.

    OMP_NUM_THREADS=1 python tests/frozen/make.py [models] [snapshots] [lesson] [runs]

`snapshots`: whenever a help text, an option, a JSON key or a public name was changed on purpose.
Read the diff. `lesson`: whenever the lesson's recordings or the source that it shows were changed.
`runs`: finished and half-finished runs of a name in `RUNS` that is new. Those that are there stay
as the version that made them left them: later versions have to open them.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE.parent / "core" / "helpers"))
sys.path.insert(0, str(HERE.parent / "llm"))
sys.path.insert(0, str(HERE.parent / "llm" / "helpers"))

Json = dict[str, Any]
WIDTH, INNER, LAYERS, RANK = 16, 24, 2, 2
WORDS = (
    "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch marsh north "
    "ocean pearl"
).split()
TARGETS = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.v_proj": (WIDTH, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}

ADAPTERS = ["experts/ant", "experts/bee", "experts/cat"]


# Models and tasks: numbers with few bits, so that they are the same wherever they are made


def numbers(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    return (rng.integers(-127, 128, shape) * scale / 64).astype(np.float32)


def save_tokenizer(folder: Path) -> int:
    from llm_fixtures import save_tiny_tokenizer

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
        shapes |= {
            "mlp.gate_proj": (INNER, WIDTH),
            "mlp.up_proj": (INNER, WIDTH),
            "mlp.down_proj": (WIDTH, INNER),
        }
        tensors |= {
            f"{layer}{name}.weight": numbers(rng, shape, 0.25) for name, shape in shapes.items()
        }
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{layer}{norm}.weight"] = np.ones(WIDTH, np.float32)
    tensors["model.norm.weight"] = np.ones(WIDTH, np.float32)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": size,
        "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1,
        "dtype": "float32",
    }  # fmt: skip
    write(folder / "config.json", config)


def make_gpt(folder: Path) -> None:
    size, n = save_tokenizer(folder), 12
    rng = np.random.default_rng(1)
    tensors = {"transformer.wte.weight": numbers(rng, (size, n), 0.5)}
    tensors["transformer.wpe.weight"] = numbers(rng, (256, n), 0.25)
    h = "transformer.h.0."
    shapes = {
        "attn.c_attn": (n, 3 * n),
        "attn.c_proj": (n, n),
        "mlp.c_fc": (n, 2 * n),
        "mlp.c_proj": (2 * n, n),
    }
    for name, shape in shapes.items():
        tensors[f"{h}{name}.weight"] = numbers(rng, shape, 0.25)
        tensors[f"{h}{name}.bias"] = numbers(rng, shape[1:], 0.1)
    for norm in (f"{h}ln_1", f"{h}ln_2", "transformer.ln_f"):
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = (
            np.ones(n, np.float32),
            np.zeros(n, np.float32),
        )
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": size, "n_embd": n,
        "n_layer": 1, "n_head": 2, "n_positions": 256, "n_inner": 2 * n,
        "tie_word_embeddings": True, "bos_token_id": size - 2, "eos_token_id": size - 1,
        "pad_token_id": size - 1, "dtype": "float32",
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
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": 4,
        "target_modules": modules,
    }
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


# Snapshots of the interface


def make_snapshots() -> None:
    import frozen_interface as interface

    for program in interface.MAINS:
        (HERE / f"{program}.help.txt").write_text(interface.help_of(program), encoding="utf-8")
    write(HERE / "names.json", interface.names())
    sys.path.insert(0, str(HERE.parent / "llm" / "report"))
    import test_sentences

    test_sentences.GOLDEN.write_text(test_sentences.text(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        os.chdir(folder)
        found = interface.shapes()
        os.chdir(HERE)
    write(HERE / "json-keys.json", found)


# Runs of this and of earlier formats

SMALL = (
    "search --base base --experts experts/ant experts/bee experts/cat --space delta --dtype float32 "
    "--threads 1 --particles 3 --quiet"
)
RUNS = {
    "labels": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --quick",
    "score": f"{SMALL} --prompts prompts.txt --metric score.py:score --dev 8 --test 4 --max-iter 1 "
    "--max-new-tokens 2 --preset none --set train=on",
    "paper": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --paper --max-iter 2 "
    "--set draws=2",
    "default": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood "
    "--set proposals=2 --set train=on",
    "several": f"{SMALL} --task words.json --task more.json --dev 8 --test 6 --scoring likelihood "
    "--preset none --max-iter 1",
    "grid": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --preset none "
    "--max-iter 1 --set inertia=0.1,0.9",
}
SCORE = "def score(reply):\n    return len(set(reply)) / 100\n"


def make_runs() -> None:
    for name, words in RUNS.items():
        if not (HERE / "runs" / name).exists():
            make_run(HERE / "runs" / name, words)


def make_run(out: Path, words: str) -> None:
    """A run, finished in ``out/finished`` and stopped after half of its scores in ``out/half``."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        (Path(folder) / "score.py").write_text(SCORE)
        (Path(folder) / "prompts.txt").write_text("".join(f"Tell me of {n}.\n" for n in range(16)))
        os.chdir(folder)
        command(words, "finished")
        lines = (Path(folder) / "finished" / "results.jsonl").read_text().splitlines()
        command(words, "half", stop=len(lines) // 2)
        os.chdir(HERE)
        for part in ("finished", "half"):
            shutil.copytree(
                Path(folder) / part, out / part, ignore=lambda *_: [".lock", "report.html"]
            )
        for file in ("score.py", "prompts.txt"):
            shutil.copy(Path(folder) / file, out)


def command(words: str, out: str, stop: int = 0) -> None:
    """Run a command; with `stop` as if it were interrupted after so many scores."""
    from pyswarmopt_llm.cli.app import main
    from pyswarmopt_llm.searching.scoring.record import Store

    add, count = Store.add, itertools.count(1)

    def stopping(self: Store, *given: Any) -> Any:
        row = add(self, *given)
        if next(count) == stop:
            raise KeyboardInterrupt
        return row

    Store.add = stopping  # type: ignore[method-assign]
    try:
        main([*words.split(), "--out", out])
    except SystemExit as end:
        if end.code != (130 if stop else 0):
            raise
    finally:
        Store.add = add  # type: ignore[method-assign]


def make_lesson() -> None:
    import lesson_recordings

    lesson_recordings.store()


PARTS: dict[str, Callable[[], None]] = {
    "models": make_models,
    "snapshots": make_snapshots,
    "runs": make_runs,
    "lesson": make_lesson,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
