#!/usr/bin/env python3
"""Runs of the released search of the Model Swarms paper, recorded: what `compat="reference"` has to
equal.

Takes a checkout of github.com/BunsenFeng/model_swarm and runs its `search.py` and `merge.py`
unmodified. Stand-ins: experts are LoRA files of three float64 numbers, `evaluate` is a function of
those numbers, pools run in this process, what only language models need is empty, and the search
ends where the tests of the personal bests would begin. The script seeds Python's generator with 42;
here with 42 and the seed of the run. Of every round are kept: where each particle was evaluated,
its velocity, value and personal best, g and w, whose evaluation was dropped and who was restarted;
of the draws: parents and shares of added experts, whom the starting velocities point at, random
factors.

    python research/benchmarks/peers/authors_trajectories.py --authors CHECKOUT \\
        --out tests/core/algorithms/released_search.npz
    python research/benchmarks/peers/authors_trajectories.py --authors CHECKOUT \\
        --check tests/core/algorithms/released_search.npz

Each run takes a few seconds, in a process of its own. `--check` compares with what was recorded
before and ends with 1 if a number differs by more than 1e-12.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import multiprocessing
import os
import random
import re
import runpy
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

Array = npt.NDArray[Any]
Options = dict[str, Any]
Draw = tuple[str, float]

DIM = 3
PAPER = {
    "inertia": 0.2,
    "cognitive_coeff": 0.3,
    "social_coeff": 0.4,
    "repel_coeff": 0.05,
    "step_length": 0.8,
}
FEW = {"populate_initial_experts": 1}
SETTINGS: dict[str, Options] = {  # flags of their script, and how many experts there are
    "defaults": {"experts": 6, "max_iteration": 25},
    "populated": {"experts": 3, **FEW, "initial_experts_num": 10, "max_iteration": 25, **PAPER},
    "impatient": {"experts": 6, "patience": 4, "restart_patience": 0.75, "max_iteration": 30},
    "enduring": {
        "experts": 4, **FEW, "initial_experts_num": 7, "patience": 30, "restart_patience": 0.1,
        "max_iteration": 25, "step_length_factor": 0.8,
    },
}  # fmt: skip
FIXED = {"weight_randomess": 0}
LATE = {"patience": 30, "restart_patience": 0.125}
MORE: dict[str, Options] = {
    "random": {"utility": "ripples", "seed": 1, **SETTINGS["populated"]},
    "dropped": {"utility": "items", "seed": 2, **SETTINGS["defaults"], **LATE, "dropK": 0.1,
                "dropN": 0.3},
    "restless": {"utility": "terraces", "seed": 3, "experts": 4, "restart_patience": 0.1,
                 "max_iteration": 6, **FIXED, "step_length": 0.05},
    "no patience": {"utility": "ripples", "seed": 4, "experts": 4, "patience": 1,
                    "max_iteration": 6, **FIXED},
}  # fmt: skip
# Chosen so that the runs come to every tie and every way to end that the script has.
SEEDS = {"ripples": (10, 11, 12, 13), "items": (23, 28, 33, 26), "terraces": (30, 31, 21, 33)}


def ripples(x: Sequence[float]) -> float:
    """Many smooth hills of unequal height."""
    return sum(math.cos(5.0 * (v - 0.3)) - (v - 0.3) ** 2 for v in x)


def items(x: Sequence[float]) -> float:
    """A share of 20 items: multiples of 0.05, so that particles tie."""
    right = [math.sin(3.0 * j * x[0] + j) + math.cos(2.0 * x[j % len(x)]) > 0.4 for j in range(20)]
    return sum(right) / 20


def terraces(x: Sequence[float]) -> float:
    """A rough rim around a deep middle in steps of 1/2: most particles tie, as the best and as the
    worst.
    """
    return math.floor(2.0 * sum(v * v - 0.25 * v**4 + 0.2 * math.sin(7.0 * v) for v in x)) / 2


UTILITIES: dict[str, Callable[[Sequence[float]], float]] = {
    "ripples": ripples,
    "items": items,
    "terraces": terraces,
}


def runs() -> dict[str, Options]:
    """Options of every run: 12 without random factors, and those that try them, dropped evaluations
    and extremes.
    """
    found = {
        f"{utility} {setting}": {"utility": utility, "seed": seed, **options, **FIXED}
        for utility, seeds in SEEDS.items()
        for seed, (setting, options) in zip(seeds, SETTINGS.items(), strict=True)
    }
    return found | MORE


# ---- one run, in a process of its own ----


class Finished(BaseException):
    """The search is over."""


class Pool:
    """What `multiprocessing.Pool` is to the script, in this process."""

    def __init__(self, processes: int) -> None:
        pass

    def starmap(
        self, function: Callable[..., Any], arguments: Sequence[Any], chunksize: int
    ) -> list[Any]:
        return [function(*each) for each in arguments]

    def close(self) -> None:
        pass

    join = close


class Empty(types.ModuleType):
    """A module whose names are all None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class Recorder(logging.Handler):
    """Stands in for `evaluate`, the log file and the global generator, and keeps what passes
    through them.
    """

    def __init__(self, utility: Callable[[Sequence[float]], float], seed: int) -> None:
        super().__init__()
        self._utility, self._seed = utility, seed
        self.rounds: list[dict[str, Array]] = []
        self.draws: list[Draw] = []
        self.patience_ended = False
        self._dropped: list[bool] = []

    def install(self) -> None:
        """Put the stand-ins where the script will import them from."""
        empty = [
            "trl",
            "datasets",
            "transformers",
            "peft",
            "peft.utils",
            "peft.utils.save_and_load",
            "overall_metrics",
        ]
        modules = {name: Empty(name) for name in (*empty, "wandb", "evaluate")}
        config = types.SimpleNamespace(update=lambda _args: None)
        vars(modules["wandb"]).update(
            init=lambda **_: types.SimpleNamespace(config=config), log=lambda _values: None
        )
        vars(modules["evaluate"]).update(
            evaluate=self.evaluate,
            evaluate_test=self.end,
            update_only_one_or_two=lambda _value: None,
        )
        sys.modules.update(modules)
        vars(multiprocessing)["Pool"] = Pool
        vars(random).update(self._generator())
        logging.getLogger().addHandler(self)  # so that their basicConfig opens no file
        logging.getLogger().setLevel(logging.INFO)

    def _generator(self) -> dict[str, Callable[..., Any]]:
        """The functions of `random` that the script calls, as they are but recorded."""
        choice = random.choice

        def chosen(among: Sequence[Any]) -> Any:
            # takes the draw that a choice of the sequence itself takes
            found = choice(range(len(among)))
            self.draws.append(("choice", found))
            return among[found]

        def recorded(name: str) -> Callable[..., float]:
            draw = getattr(random, name)

            def drawn(*arguments: float) -> float:
                self.draws.append((name, found := draw(*arguments)))
                return float(found) if name != "randint" else found

            return drawn

        seed = random.seed
        kept = {name: recorded(name) for name in ("random", "randint", "uniform")}
        return kept | {"choice": chosen, "seed": lambda number: seed(number + self._seed)}

    def evaluate(self, path: str, *arguments: Any) -> float | None:
        """The utility of the expert in that folder; None if the script skips it."""
        skipped = bool(arguments[6:] and arguments[6])
        self._dropped.append(skipped)
        return None if skipped else self._utility(read(Path(path)).tolist())

    def emit(self, record: logging.LogRecord) -> None:
        """Follow the search by what it logs."""
        message = record.getMessage()
        if message == "search initialized" or message.startswith("all particles evaluated!"):
            self._keep()
        elif found := re.fullmatch(r"particle_(\d+) restarted!", message):
            self.rounds[-1]["restarted"][int(found[1])] = True
        self.patience_ended |= message == "patience reached!"

    def _keep(self) -> None:
        """Keep everything that the search has on disk after a round of evaluations."""
        (run,) = Path("search").iterdir()
        values = json.loads((run / "utility_scratchpad.json").read_text(encoding="utf-8"))
        particles = [run / f"particle_{i}" for i in range(len(self._dropped))]
        self.rounds.append({
            "evaluated": np.stack([read(p / "now") for p in particles]),
            "velocity": np.stack([read(p / "velocity") for p in particles]),
            "personal_best": np.stack([read(p / "personal_best") for p in particles]),
            "best": read(run / "global_best"),
            "worst": read(run / "global_worst"),
            "value": np.array([values[f"{p.name}_now"] for p in particles]),
            "dropped": np.array(self._dropped),
            "restarted": np.zeros(len(particles), dtype=np.bool_),  # when the next iteration begins
        })  # fmt: skip
        self._dropped = []

    def end(self, *_arguments: Any) -> None:
        """The script would test the personal bests now."""
        raise Finished


def read(folder: Path) -> Array:
    """The numbers of an expert."""
    weights = load_file(folder / "adapter_model.safetensors")
    return np.concatenate([weights[name].numpy().ravel() for name in sorted(weights)])


def record(authors: Path, options: Options) -> dict[str, Array]:
    """Run the script in this folder and process; the arrays of the run."""
    rng = np.random.default_rng(options["seed"])
    for i in range(options["experts"]):
        folder = Path("initial_experts") / f"expert{i}"
        folder.mkdir(parents=True)
        a, b = torch.from_numpy(rng.uniform(-1, 1, DIM)).split([2, 1])
        save_file({"lora_A": a.clone(), "lora_B": b.clone()}, folder / "adapter_model.safetensors")
    Path("search").mkdir()
    recorder = Recorder(UTILITIES[options["utility"]], options["seed"])
    recorder.install()
    flags = {
        name: value for name, value in options.items() if name not in ("utility", "seed", "experts")
    }
    sys.argv = ["search.py", "-n", "run", "-e", "none", "-d", "none", "-g", "0"]
    sys.argv += [f"--{name}={value}" for name, value in flags.items()]
    sys.path.insert(0, str(authors))
    with contextlib.suppress(Finished):
        runpy.run_path(str(authors / "search.py"), run_name="__main__")
    found = {
        name: np.stack([each[name] for each in recorder.rounds]) for name in recorder.rounds[0]
    }
    found |= from_draws(recorder.draws, len(found["value"][0]), options)
    return found | {
        "options": np.array(json.dumps(options)),
        "patience_ended": np.array(recorder.patience_ended),
    }


def from_draws(draws: list[Draw], population: int, options: Options) -> dict[str, Array]:
    """The draws in the order of the script, without those that it rejects.

    Returns:
        parents (m, 2) and share (m,) of the added experts; partner (N,): at whom each starting
        velocity points; factors (iterations, N, 4) of inertia, p, g and w, nothing without random
        ones.
    """
    rest = iter(draws)
    added = population - options["experts"]
    parents, share = np.zeros((added, 2), dtype=np.int64), np.zeros(added)
    for k in range(added):
        first = int(next(rest)[1])
        parents[k] = first, next(int(number) for _, number in rest if number != first)
        share[k] = 2 * next(rest)[1]
    partner = [next(int(number) for _, number in rest if number != i) for i in range(population)]
    factors = np.array([number for name, number in rest if name == "uniform"]).reshape(
        -1, population, 4
    )
    return {"parents": parents, "share": share, "partner": np.array(partner), "factors": factors}


# ---- all of them ----


def record_apart(authors: Path, name: str) -> dict[str, Array]:
    """One run in a new process, which patches itself, and a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--authors",
            str(authors),
            "--run",
            name,
        ]
        subprocess.run(command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        with np.load(Path(folder) / "run.npz") as arrays:
            return {f"{name}/{key}": arrays[key] for key in arrays}


def differences(found: dict[str, Array], file: Path) -> list[str]:
    """The arrays that differ from the recorded ones."""
    with np.load(file) as arrays:
        before = dict(arrays)
    wrong = sorted(found.keys() ^ before.keys())
    for name in found.keys() & before.keys():
        a, b = found[name], before[name]
        close = a.shape == b.shape and (
            np.array_equal(a, b) or (a.dtype == float and np.allclose(a, b, 0, 1e-12))
        )
        wrong += [] if close else [name]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--authors", type=Path, required=True, help="a checkout of their repository"
    )
    parser.add_argument("--out", type=Path, help="the file to write")
    parser.add_argument("--check", type=Path, help="a file written earlier")
    parser.add_argument("--run", help=argparse.SUPPRESS)  # record one run in this folder
    args = parser.parse_args()
    authors = args.authors.resolve()
    if not (authors / "search.py").is_file():
        parser.error(
            f"{args.authors}: no search.py there; give a checkout of "
            "github.com/BunsenFeng/model_swarm"
        )
    if args.run:
        np.savez("run.npz", **record(authors, runs()[args.run]))  # type: ignore[arg-type]
        return
    found: dict[str, Array] = {}
    for name in runs():
        found |= record_apart(authors, name)
        ended = "patience" if found[f"{name}/patience_ended"] else "its last iteration"
        print(f"{name}: {len(found[f'{name}/value']) - 1} iterations, ended by {ended}", flush=True)
    if args.out:
        np.savez_compressed(args.out, **found)  # type: ignore[arg-type]
    if args.check and (wrong := differences(found, args.check)):
        sys.exit(f"not as recorded: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
