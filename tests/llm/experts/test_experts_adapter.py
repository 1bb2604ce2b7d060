"""Reading adapters: what a header tells, by hand, and that nothing but `UserError` comes out of broken
and hostile files. What the files mean: `test_adapters_as_peft.py`.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from changed_copies import Edit, edited
from hypothesis import given, settings
from hypothesis import strategies as st

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import atomic_directory, check_free
from pyswarmopt_llm.experts import adapter as adapters
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter

MODULE = "model.layers.0.self_attn.q_proj"
KEY_A, KEY_B = (f"base_model.model.{MODULE}.lora_{factor}.weight" for factor in "AB")
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
Break = Callable[[Path], object]


def test_fingerprint_follows_weights_and_configuration(by_hand: Callable[..., Path]) -> None:
    factors = {MODULE: ([[1.0], [2.0]], [[3.0, 4.0]])}
    other = {MODULE: ([[1.0], [2.0]], [[3.0, 4.5]])}
    first, twin = by_hand("first", factors), by_hand("twin", factors)
    scaled, changed = by_hand("scaled", factors, lora_alpha=2), by_hand("changed", other)
    prints = [read_adapter(path).fingerprint for path in (first, twin, scaled, changed)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


# Broken and hostile files


def configured(**changes: Any) -> Break:
    """Settings of adapter_config.json are changed."""
    return lambda path: edited(path, **changes)


def stored(change: Edit) -> Break:
    """Tensors of the weights file are changed."""
    return lambda path: edited(path, change)


def added(name: str) -> Break:
    return stored(lambda tensors: tensors.update({name: tensors[KEY_A].clone()}))


# settings of adapter_config.json, and what the line says of them
CORPUS = Path(__file__).with_name("settings.jsonl").read_text(encoding="utf-8").splitlines()
BROKEN: dict[str, tuple[Break, str]] = {
    "no config": (lambda p: (p / CONFIG).unlink(), "cannot read"),
    "pickle": (lambda p: (p / WEIGHTS).rename(p / "adapter_model.bin"), "is a pickle"),
    "bad json": (lambda p: (p / CONFIG).write_text('{\n"r": 4,\n'), "not valid JSON"),
    "truncated": (lambda p: (p / WEIGHTS).write_bytes((p / WEIGHTS).read_bytes()[:-1]), "corrupt"),
    "no tensors": (stored(dict.clear), "contains no LoRA weights"),
    "partner": (stored(lambda t: t.pop(KEY_B)), "needs lora_A and lora_B of rank"),
    "nan in A": (stored(lambda t: t[KEY_A].fill_(float("nan"))), "are NaN or infinite"),
    "integers": (stored(lambda t: t.update({KEY_A: t[KEY_A].to(torch.int32)})), "stored as I32"),
    "embedding": (added("base_model.model.embed_tokens.lora_embedding_A"), "is not a LoRA weight"),
    "alpha": (configured(lora_alpha=float("nan")), "lora_alpha is missing or has the wrong type"),
    **{
        case["case"]: (configured(**case["config"]), case["says"])
        for case in map(json.loads, CORPUS)
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_adapters_are_refused_in_one_line(
    case: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(tiny_experts[0], tmp_path / "expert"))
    breaks, message = BROKEN[case]
    breaks(path)
    with pytest.raises(UserError) as error:
        load_adapter(read_adapter(path))
    assert message in str(error.value)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "rank_pattern": lambda text: {"rank_pattern": {text: 4}},
    "alpha_pattern": lambda text: {"alpha_pattern": {text: 8}},
    "target_modules": lambda text: {"target_modules": text},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", ["(" * 5000 + "q_proj" + ")" * 5000, "(q_proj"])
def test_malformed_patterns_are_refused(
    text: str, place: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    path = Path(shutil.copytree(tiny_experts[0], tmp_path / "expert"))
    configured(**PLACES[place](text))(path)
    with pytest.raises(UserError, match=r"adapter_config.json: a module pattern is invalid"):
        read_adapter(path)


@pytest.fixture
def whole(by_hand: Callable[..., Path]) -> Path:
    factors = {MODULE: ([[1.0], [2.0]], [[3.0, 4.0]])}
    return by_hand("whole", factors, base_model_name_or_path="some/base")


def read_or_refuse(whole: Path, breaks: Break) -> None:
    """A changed adapter is read with finite weights, or refused in one line."""
    path = whole.with_name("fuzzed")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(whole, path)
    breaks(path)
    try:
        adapter = load_adapter(read_adapter(path))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        tensors = [tensor for f in adapter.factors.values() for tensor in (f.a, f.b)]
        assert all(torch.isfinite(tensor).all() for tensor in tensors)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_OPTIONS = [
    *adapters.AdapterConfig.__dataclass_fields__,
    *"peft_type bias use_dora".split(),
]


@settings(max_examples=100)
@given(options=st.dictionaries(st.sampled_from(_OPTIONS), _JSON, max_size=3))
def test_any_settings_never_give_a_traceback(options: dict[str, Any], whole: Path) -> None:
    read_or_refuse(whole, configured(**options))


WRITER = """
import signal, sys, time
from pathlib import Path
from pyswarmopt_llm.cli.running import interruptible, nothing_written
from pyswarmopt_llm.common.files.regular import atomic_directory
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
with interruptible(nothing_written), atomic_directory(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_a_killed_writer_leaves_is_named_and_removed_at_the_next_call(
    end: signal.Signals, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", WRITER, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stderr is not None
        assert writer.stdout.readline() == b"writing\n"
        with atomic_directory(tmp_path / "other"):
            pass
        (busy,) = tmp_path.glob(".*.part")  # the living writer's is left alone
        with pytest.raises(UserError, match="exists"), atomic_directory(out) as folder:
            out.mkdir()
            (out / "theirs").touch()
        assert busy.is_dir() and not folder.exists()
        shutil.rmtree(out)
        writer.send_signal(end)
        writer.wait(60)
        told = writer.stderr.read().decode()
    left = [path.name for path in tmp_path.glob(".*.part")]
    assert bool(left) == (end == signal.SIGKILL)
    if end != signal.SIGKILL:
        assert "nothing was written" in told
    caplog.clear()
    with atomic_directory(out) as folder:
        assert [*tmp_path.glob(".*.part")] == [folder]
    assert [name for name in left if name in caplog.text] == left
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    (tmp_path / "link").symlink_to(out)  # an empty folder
    with pytest.raises(UserError, match="already exists"):
        check_free(tmp_path / "link")


def test_every_initialisation_of_peft_is_read_repeated_or_refused_by_name(
    tiny_experts: list[Path], tmp_path: Path
) -> None:
    """The list is PEFT's own; what it repeats on loading is flattened exactly elsewhere."""
    import typing

    import peft

    hint = typing.get_type_hints(peft.LoraConfig)["init_lora_weights"]
    literal = next(
        each for each in typing.get_args(hint) if typing.get_origin(each) is typing.Literal
    )
    named = {str(name).replace("[number of iters]", "4") for name in typing.get_args(literal)}
    path = Path(shutil.copytree(tiny_experts[0], tmp_path / "expert"))
    outcomes: dict[str, set[str]] = {"read": set(), "flattened": set(), "refused": set()}
    for start in named | {"lora_ga", "of a later version"}:
        configured(init_lora_weights=start)(path)
        try:
            read_adapter(path)
            outcomes["read"].add(start)
        except UserError as error:
            assert repr(start) in str(error)
            outcomes["flattened" if "flatten" in str(error) else "refused"].add(start)
    assert outcomes == {
        "read": {"gaussian", "eva", "orthogonal", "mica"},
        "flattened": {"pissa", "olora"},
        "refused": {"pissa_niter_4", "corda", "loftq", "lora_ga", "of a later version"},
    }
