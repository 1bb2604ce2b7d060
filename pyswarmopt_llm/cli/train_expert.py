"""`swarm-llm train-expert`: a LoRA expert from chat examples."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.options import Json, Quiet
from pyswarmopt_llm.cli.running import (
    interruptible,
    items_bar,
    loading,
    nothing_written,
    print_either,
)
from pyswarmopt_llm.common.config import command as typed
from pyswarmopt_llm.common.files.regular import check_free, user_path
from pyswarmopt_llm.common.options import OUTPUT, TASK, Base, Columns, Device, Dtype, Option
from pyswarmopt_llm.scores.tasks.columns import parse_reading
from pyswarmopt_llm.training.examples import BUILTIN_EXAMPLES, TrainingOptions, load_examples


def command(
    base: Base,
    data: Annotated[
        tuple[str, ...],
        Option('JSONL of {"messages": [...]}, a task file or builtin:NAME.', "D", TASK),
    ],
    out: Annotated[str, Option("Adapter directory to create.", "DIR", OUTPUT)],
    recipe: TrainingOptions,
    examples: Annotated[
        int | None,
        Option(
            f"Examples per data set (default: all, or {BUILTIN_EXAMPLES} if generated).",
            "N",
            TASK,
            least=1,
        ),
    ] = None,
    loss: Annotated[
        Literal["answer", "options"],
        Option(
            "answer: likelihood of the reply; options: cross-entropy over a task's options.",
            "KIND",
            TASK,
        ),
    ] = "answer",
    columns: Columns = (),
    dtype: Dtype = "auto",
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a LoRA expert to give answers, or to choose among options.

    Example: swarm-llm train-expert --base B --data builtin:dates --out experts/dates --rank 4
    """
    check_free(user_path(out))
    # read before a model is loaded
    reading = parse_reading(columns)
    sources = {spec: load_examples(spec, examples, recipe.seed, reading, loss) for spec in data}
    with loading(quiet):
        from pyswarmopt_llm.experts.base import resolve_base
        from pyswarmopt_llm.training.expert import train_expert

    rows = [example for source in sources.values() for example in source]
    counts = [f"{spec}, {len(source)} examples" for spec, source in sources.items()]
    with interruptible(nothing_written), items_bar(quiet, "loss -") as show:
        done = train_expert(
            resolve_base(base),
            rows,
            out,
            recipe,
            loss=loss,
            dtype=dtype,
            device=device,
            data="; ".join(counts),
            on_step=lambda step, steps, loss: show(step, steps, f"loss {loss:.3f}"),
        )
    lines = [f"wrote {out}: {counted(done.steps, 'step')} in {done.seconds:.0f} s"]
    if done.heldout:
        losses = (done.heldout_loss_base, done.heldout_loss_expert)
        lines.append("held-out loss {:.3f} (base) -> {:.3f} (expert)".format(*losses))
    scoring = typed("eval", base=base, adapter=out, task="TASK", columns=list(columns))
    print_either({"out": out, **asdict(done)}, [*lines, f"Score it: {scoring}"], as_json)
