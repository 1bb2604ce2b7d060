"""The configuration of a search: everything that determines its result, in one frozen record; and
`swarm-llm` commands from settings, to copy.
"""

from __future__ import annotations

import shlex
from dataclasses import KW_ONLY, asdict, dataclass, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pyswarmopt_llm.common.options import (
    BASE,
    MACHINE,
    OUTPUT,
    TASK,
    TEST,
    Columns,
    Dev,
    Device,
    Dtype,
    NewTokens,
    Option,
    Overlap,
    Prompts,
    Quantize,
    Rare,
    Scoring,
    System,
    Template,
    Texts,
    Thinking,
    Threads,
    as_flag,
    documented,
    options_of,
)
from pyswarmopt_llm.common.own import use_names

MODEL_SWARMS = "model-swarms"
NEVERGRAD = "nevergrad:"
PROMPTS = "prompts:"  # prefix of a task of prompts without answers
LM_EVAL = "lm-eval:"  # prefix of a harness task
DRIFT = "drift"  # the metric, and its task
MIXTURE = "mixture.json"  # in a directory with a mixture of models
PARTICLES = 20  # as in the paper, like the next two
PATIENCE = 10
MAX_ITER = 50
# with more coefficients, a search's candidates are too few to fit a model
MOST_COEFFICIENTS = 64
MODELS = ("items", "scores")  # methods that fit a model instead of running a swarm's iterations
ALONE = 6  # default number of candidates proposed by the model of the items

# Dev items from which `auto` trains: on labels, on replies to them, or on replies to at least as many
# spare prompts.
LEAST_DEV = 24
LEAST_DEV_WRITTEN = 40
LEAST_DEV_BESIDE_SPARE = 16
LEAST_TRAINED = 8  # least dev items for any training on them
# Start -> how many of base, average and sum of the experts it includes.
SUMS = {"sums": 0, "base": 1, "even": 3}


@documented
@dataclass(frozen=True)
class SearchConfig:
    """The configuration of `swarm-llm search`; stored whole in ``run.json``.

    Fields that are None or "auto" count as not given: the plan decides them
    (`searching.decide.make_plan`), and ``run.json`` stores the decision.

    Example:
        >>> config = SearchConfig(base="b", experts=("x", "y"), tasks=("t.json",), out="run", particles=20)
        >>> config.particles, config.patience, config.space
        (20, None, 'auto')
    """

    # a run.json with any other field is refused
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "strict": True,
        "allow_inf_nan": False,
    }

    # "" in spaces token and graph, where each expert has its own base
    base: Annotated[str, replace(BASE, required=False)]
    experts: Annotated[
        Texts, Option("LoRA adapters; `space` token also accepts models.", "DIR...", TASK)
    ]
    tasks: Annotated[
        Texts,
        Option(
            "File, builtin:NAME, hub:NAME, published:NAME or lm-eval:NAME.",
            "T",
            TASK,
            required=False,
        ),
    ]
    out: Annotated[str, Option("Run directory to create.", "RUN", OUTPUT)]
    _: KW_ONLY
    # The objectives. A metric is a name for all tasks or TASK=NAME.
    metrics: Annotated[
        Texts,
        Option("accuracy, f1, judge, mine.py:score, ... (default: the task's).", "M", TASK),
    ] = ()
    keep: Annotated[
        str | None, Option("File of prompts for the metric drift, without answers.", "FILE", TASK)
    ] = None
    combine: Annotated[
        str,
        Rare(
            "harmonic, arithmetic (auto uses it if scores can be negative), weighted:1,0.01 or keep:0.62.",
            "C",
        ),
    ] = "auto"
    front: Annotated[
        bool,
        Option(
            "Search for the trade-offs between several scores; write RUN/front/1, ...", group=TASK
        ),
    ] = False
    floor: Annotated[
        Texts,
        Option("Limit of a score in the choice of a point, such as tokens=40.", "NAME=X", TASK),
    ] = ()
    prompts: Prompts = None  # stands for the task ``prompts:FILE``
    max_new_tokens: NewTokens = None
    # The method.
    settings: Annotated[
        Texts,
        Rare(
            "A swarm coefficient, such as inertia=0.1; with a grid also several values, as in inertia=0.1,0.2.",
            "NAME=VALUE",
        ),
    ] = ()
    draws: Annotated[
        int | None,
        Rare(
            "Sets of coefficients to draw from a grid; the best on dev wins (default: 10; 1: no grid).",
            "N",
            least=1,
            most=1000,
        ),
    ] = None
    paper: Annotated[
        bool, Option("Use the paper's procedure, with its grid and without fine-tuning.")
    ] = False
    reference: Annotated[bool, Rare("Use the procedure of the authors' released scripts.")] = False
    quick: Annotated[
        bool, Option("Only fine-tune the best expert, or the base model if it scores higher.")
    ] = False
    method: str = "auto"  # what proposes candidates: items or scores (surrogate models), or swarm
    space: Annotated[
        str,
        Option(
            "delta (weights), factor (as in the released code), full, token or graph.",
            "S",
        ),
    ] = "auto"
    optimizer: Annotated[
        str,
        Rare("model-swarms, constriction, ..., nevergrad:NAME or FILE.py:NAME.", "O"),
    ] = "auto"
    particles: Annotated[
        int | None, Option("Number of particles (default: set by the procedure).", "N", least=1)
    ] = None
    start: str = "auto"  # extra starting points: segments, sums, even or base
    max_iter: Annotated[
        int | None,
        Option("Maximum number of iterations (default: set by the procedure).", "K", least=0),
    ] = None
    proposals: Annotated[
        int | None,
        Rare(
            "Candidates proposed by a surrogate (default: 6, or up to 40 in total).",
            "N",
            least=0,
        ),
    ] = None
    patience: Annotated[
        int | None,
        Rare("Stop after C iterations without a new best (default: 10).", "C", least=1),
    ] = None
    dev: Dev = None
    test: Annotated[int | None, replace(TEST, least=0)] = None  # 0: no scores on test
    columns: Columns = ()
    template: Template = ()
    system: System = ""
    thinking: Thinking = 0
    seed: Annotated[int, Option("Random seed.", "S", least=0)] = 0
    train: Annotated[
        str,
        Rare(
            "Train on the dev examples at the end: on, off or auto.",
            "D",
            choices=("auto", "on", "off"),
        ),
    ] = "auto"
    curve: Annotated[
        bool,
        Rare("Also train on a quarter and on half of the labels, to see what more labels add."),
    ] = False
    no_rivals: Annotated[
        bool,
        Rare("Skip the base-model and fine-tuned baselines."),
    ] = False
    screen: Annotated[
        str,
        Rare(
            "Drop experts that are clearly behind early: on, off or auto (on from 32 experts).",
            "D",
            choices=("auto", "on", "off"),
        ),
    ] = "auto"
    # Partial evaluation.
    drop_k: Annotated[
        float | None,
        Rare("Probability of skipping an iteration.", "P", least=0, below=1),
    ] = None
    drop_n: Annotated[
        float | None,
        Rare("Probability of skipping an evaluation.", "P", least=0, below=1),
    ] = None
    budget_minutes: Annotated[
        float | None,
        Option("Start no new evaluation after M minutes of evaluations.", "M", above=0),
    ] = None
    budget_items: Annotated[
        int | None, Rare("Maximum number of scored dev examples.", "N", least=1)
    ] = None
    scoring: Scoring = "auto"
    quantize: Quantize = None
    allow_overlap: Overlap = False
    # The machine.
    dtype: Dtype = "auto"
    device: Device = "auto"
    threads: Threads = None
    batch_tokens: Annotated[
        int | None,
        Rare("Padded tokens per batch (default: 1024; on a GPU, as many as fit).", "N", least=1),
    ] = None
    workers: Annotated[
        str, Option("Worker processes: a number, ray or ray://HOST.", "W", MACHINE)
    ] = "1"
    batch: Annotated[
        int | None,
        Option(
            "Candidates proposed at once (default: 1), so that as many workers are busy.",
            "Q",
            least=1,
        ),
    ] = None
    asynchronous: Annotated[
        bool,
        Option(
            "Give each free worker its next candidate at once; the order of the answers then matters."
        ),
    ] = False
    mix: Annotated[
        str,
        Rare(
            "merged: edit the weights; runtime: add adapter outputs (for quantised models or little memory).",
            "M",
            choices=("auto", "merged", "runtime"),
        ),
    ] = "auto"

    def __post_init__(self) -> None:
        """Turn paths into texts, and `prompts` into a task."""
        use_names(self)
        if self.prompts is not None:
            object.__setattr__(self, "tasks", (*self.tasks, f"{PROMPTS}{self.prompts}"))
            object.__setattr__(self, "prompts", None)

    @cached_property
    def population(self) -> int:
        """Number of particles, at least as many as starting points: the experts, plus `SUMS` for
        some starts.

        Example:
            >>> config = SearchConfig("b", ("x", "y"), ("t",), "r", particles=1)
            >>> config.population, replace(config, start="even").population
            (2, 5)
        """
        least = len(self.experts) + SUMS.get(self.start, 0)
        return max(self.particles or PARTICLES, least)

    @cached_property
    def iterations(self) -> int:
        """Maximum number of iterations; 0 if a model proposes candidates."""
        if self.method in MODELS:
            return 0
        if self.max_iter is None:
            return MAX_ITER
        return self.max_iter

    @cached_property
    def processes(self) -> int:
        """Worker processes on this machine; 0 for a Ray cluster."""
        return int(self.workers) if self.workers.isdecimal() else 0

    @cached_property
    def published(self) -> bool:
        """Whether a published procedure was requested instead of the default."""
        return self.paper or self.reference

    @cached_property
    def is_grid(self) -> bool:
        """Whether several sets of coefficients are searched, once `draws` is decided."""
        return self.draws is not None and self.draws > 1


# The settings that a procedure chooses, or that guide its choice.
CHOICES = (
    "paper",
    "reference",
    "method",
    "space",
    "optimizer",
    "particles",
    "start",
    "max_iter",
    "patience",
    "settings",
    "front",
    "draws",
    "proposals",
    "batch",
    "screen",
    "drop_k",
    "drop_n",
    "train",
    "budget_items",
    "budget_minutes",
)


def given_settings(config: SearchConfig) -> dict[str, Any]:
    """The given settings among `CHOICES`: neither None nor ``auto``.

    Example:
        >>> given_settings(SearchConfig("b", ("x", "y"), ("t",), "r", particles=20, seed=3))
        {'particles': 20}
    """
    return {
        name: getattr(config, name)
        for name in CHOICES
        if getattr(config, name) != getattr(SearchConfig, name)
    }


def command(verb: str, *arguments: str, of: Any = SearchConfig, **settings: Any) -> str:
    """A command line.

    Args:
        verb: name of the command.
        *arguments: arguments before its options.
        of: dataclass whose fields define the options.
        **settings: options; None, empty and default values are dropped.

    Example:
        >>> command("merge", base="b", experts=["x", "y z"], rank=3, task=None)
        "swarm-llm merge --base b --experts x 'y z' --rank 3"
        >>> command("search", columns=["question=body", "label=team"], metrics=("f1",), draws=3)
        'swarm-llm search --columns question=body --columns label=team --metric f1 --draws 3'
    """
    options = options_of(of)
    words = ["swarm-llm", verb, *arguments]
    for name, value in settings.items():
        if value in (None, getattr(of, name, None), [], ()):
            continue
        flag = as_flag(name)
        if value is True:
            words.append(flag)
            continue
        several = value if isinstance(value, list | tuple) else [value]
        texts = list(filter(None, map(str, several)))
        if name in options and options[name].metavar.endswith("..."):
            words += [flag, *texts]
        else:
            words += [word for text in texts for word in (flag, text)]
    return shlex.join(words)


def search_command(config: SearchConfig) -> str:
    """The `swarm-llm search` command of a configuration, without default values.

    Example:
        >>> config = SearchConfig("b", ("x", "y z"), ("t.json",), "r", seed=3)
        >>> search_command(config)
        "swarm-llm search --base b --experts x 'y z' --task t.json --out r --seed 3"
    """
    options = options_of(SearchConfig)
    return command("search", **{n: value for n, value in asdict(config).items() if n in options})
