"""Options as data: a configuration is a dataclass, and each field has an `Option`.

These fields alone define the command line with its help, the range checks and the command in a
model card. A new option is a new field:

    inertia: Annotated[float, Option("Weight of the former velocity.", "W", least=0, below=1)] = 0.2

Help texts and messages name other options by field, in backticks; the command line shows them as
typed there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from operator import ge, gt, le, lt
from typing import Annotated, Any, TypeVar, get_type_hints

from pyswarmopt.base.words import largest
from pyswarmopt_llm.common.errors import InvalidOption

T = TypeVar("T")
Texts = tuple[str, ...]

# Headings of the help.
TASK = "Experts and task"
SETTINGS = "Settings"
MACHINE = "Machine"
OUTPUT = "Output"
BARE = "base"  # as an adapter: no adapter
RARE = "Advanced settings"  # explained by ``--help-all`` only
# Fields whose option has another name.
NAMES = {
    "as_format": "format",
    "as_json": "json",
    "form": "format",
    "metrics": "metric",
    "settings": "set",
    "tasks": "task",
}


@dataclass(frozen=True)
class Option:
    """Command-line properties of a configuration field.

    Attributes:
        help: one line.
        metavar: placeholder of the value; ends in ``...`` for several values. Switches have none.
        group: heading of the help, or `RARE`.
        required: False makes the option optional on the command line, and empty by default, even if
            the field has no default.
        commas: whether a tuple's values may also be separated by commas.
        choices: allowed values; empty: any.
        least, above: lower bound, inclusive or not.
        most, below: upper bound, inclusive or not; default: see `pyswarmopt.base.words`.
    """

    help: str
    metavar: str = ""
    group: str = SETTINGS
    required: bool = True
    commas: bool = False
    choices: Texts = ()
    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None

    def check(self, field: str, value: object) -> None:
        """Refuse a value that is out of range or not one of the choices; None always passes.

        Raises:
            InvalidOption: names the allowed values.

        Example:
            >>> Option("", least=0, below=1).check("drop_k", 1.5)
            Traceback (most recent call last):
            pyswarmopt_llm.common.errors.InvalidOption: drop_k 1.5 is out of range; it must be less than 1
        """
        if self.choices and value is not None and value not in self.choices:
            raise InvalidOption(field, value, f"is unknown; use one of: {', '.join(self.choices)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        most = largest(field) if self.most is None else self.most
        for words, bound, satisfies in (
            ("at least", self.least, ge),
            ("more than", self.above, gt),
            ("less than", self.below, lt),
            ("at most", most, le),
        ):
            if bound is not None and not satisfies(value, bound):  # NaN satisfies none
                raise InvalidOption(field, value, f"is out of range; it must be {words} {bound}")


Rare = partial(Option, group=RARE)


def options_of(config: type[Any]) -> dict[str, Option]:
    """Field -> option, for a dataclass."""
    hints = get_type_hints(config, include_extras=True)
    found = {field.name: option_in(hints[field.name]) for field in fields(config)}
    return {name: option for name, option in found.items() if option is not None}


def option_in(hint: Any) -> Option | None:
    """The `Option` in an annotation.

    Example:
        >>> option_in(Annotated[int, Option("Particles.")]).help, option_in(int)
        ('Particles.', None)
    """
    metadata = getattr(hint, "__metadata__", ())
    return next((data for data in metadata if isinstance(data, Option)), None)


def as_flag(field: str, value: str = "") -> str:
    """A field as typed on the command line, possibly with a value.

    Example:
        >>> as_flag("max_iter"), as_flag("draws", " 3"), as_flag("settings", " repel=0")
        ('--max-iter', '--draws 3', '--set repel=0')
    """
    return f"--{NAMES.get(field, field.replace('_', '-'))}{value}"


def documented(config: type[T]) -> type[T]:
    """Add the options' help to a configuration's docstring."""
    lines = [f"        {name}: {option.help}" for name, option in options_of(config).items()]
    config.__doc__ = "\n".join([f"{config.__doc__}", "    Attributes:", *lines, "    "])
    return config


def check_options(config: Any) -> None:
    """Refuse fields that are out of range.

    Raises:
        InvalidOption: names the field.
    """
    for name, option in options_of(type(config)).items():
        option.check(name, getattr(config, name))


SCORINGS = ("auto", "letter", "likelihood", "generate")
FORMATS = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "nf4", "int8", "q4_k_m")  # see `formats`
DTYPES = ("auto", "bfloat16", "float16", "float32")

# Options shared by several configurations and commands.
BASE = Option("Directory, hub id, GGUF file or embedded:NAME.", "B", TASK)
Dev = Annotated[int | None, Option("Use the first N dev examples.", "N", TASK, least=1)]
TEST = Option("Use the first N test examples.", "N", TASK, least=1)
Columns = Annotated[
    Texts,
    Option(
        "Columns of your file, such as question=text,label=mood; 0=bad names label 0.",
        "C,C",
        TASK,
        commas=True,
    ),
]
Template = Annotated[Texts, Rare("Prompt template with {question} and {choices}.", "TEXT")]
System = Annotated[str, Rare("System prompt for each question.", "TEXT")]
Thinking = Annotated[
    int,
    Rare(
        "Let models think for up to N tokens, if their chat templates support it.",
        "N",
        least=0,
    ),
]
PROMPTS = Option("File of prompts without answers: text, JSONL or CSV.", "FILE", TASK)
Prompts = Annotated[str | None, PROMPTS]
NewTokens = Annotated[
    int | None,
    Rare("Maximum tokens per reply (default: set by the metric, usually 128).", "N", least=1),
]
Scoring = Annotated[
    str, Option("auto, letter, likelihood or generate.", "S", TASK, choices=SCORINGS)
]
Overlap = Annotated[bool, Rare("Allow examples that are in both dev and test.")]
Dtype = Annotated[str, Option("auto, bfloat16, float16 or float32.", "D", MACHINE, choices=DTYPES)]
Device = Annotated[str, Option("auto, cpu, cuda, cuda:1, ...", "D", MACHINE)]
Threads = Annotated[
    int | None, Option("CPU threads (default: PyTorch's choice).", "N", MACHINE, least=1)
]
Quantize = Annotated[
    str | None,
    Option(
        f"Score the merged model as this format holds it: {', '.join(FORMATS)}.",
        "F",
        MACHINE,
        choices=FORMATS,
    ),
]

# Options of commands other than the search.
Base = Annotated[str, BASE]
Experts = Annotated[Texts, Option("LoRA adapters.", "DIR...", TASK)]
Test = Annotated[int | None, TEST]
TASK_FILE = Option("File, builtin:NAME, hub:NAME or published:NAME.", "T", TASK)
TaskFile = Annotated[str, TASK_FILE]
