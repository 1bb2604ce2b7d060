"""Members of a token swarm, any models and adapters: finding, loading and checking them; and their
rows in a file.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import atomic_directory, user_path, write_json
from pyswarmopt_llm.common.interfaces import Engine, MixtureSpace, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_config
from pyswarmopt_llm.experts.base import BaseModel, refuse_quantised, resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts, unique_names
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.experts.quantised import spec_of
from pyswarmopt_llm.mix.kind import Pool

_PROBE = "Hello"
_BATCH = 1024  # tokens: several models share the device's memory


@dataclass(frozen=True)
class TokenMember:
    """An expert of a token swarm, not yet loaded.

    Attributes:
        name: name of the expert.
        spec: name given by the user; a local directory is an absolute path.
        base: the model, or the base of the adapter.
        adapter: None for a model.
    """

    name: str
    spec: str
    base: BaseModel
    adapter: AdapterInfo | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all weights and the tokenizer."""
        if self.adapter is None:
            return self.base.fingerprint
        both = f"{self.base.fingerprint} {self.adapter.fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def row(self) -> dict[str, Any]:
        """The member in a file; see `write_members`."""
        return {
            "name": self.name,
            "expert": self.spec,
            "base": self.adapter and _absolute(self.base.spec),
            "fingerprint": self.fingerprint,
        }


class SeveralModels(Engine):
    """An engine of several models, each with its own chat template."""

    def chat(self, user: str, earlier: Sequence[Mapping[str, str]] = ()) -> str:
        """The user's turn, unchanged.

        Raises:
            UserError: there are earlier turns.
        """
        if earlier:
            raise UserError(
                "a mixture of models accepts only single turns, not conversations; use a single `base`"
            )
        return user


def find_members(specs: Sequence[str], base: str | None = None) -> tuple[TokenMember, ...]:
    """Find the experts: a directory with adapter_config.json is an adapter, anything else a model.

    Args:
        specs: directories, hub ids or ``embedded:NAME``.
        base: base of all adapters; None: the base stated in each adapter's config.

    Raises:
        UserError: an expert or its base is missing, or an adapter does not fit its base.
    """
    common = resolve_base(base) if base else None
    members = []
    for spec, name in zip(specs, unique_names(specs), strict=True):
        settings = user_path(spec) / "adapter_config.json"
        if settings.is_file():
            own = common or _stated_base(name, settings)
            report = inspect_experts([spec], own)
            report.require("delta")
            info = replace(report.experts[0], name=name)
            members.append(TokenMember(name, _absolute(spec), own, info))
        else:
            members.append(TokenMember(name, _absolute(spec), resolve_base(spec)))
    return tuple(members)


def _stated_base(name: str, settings: Path) -> BaseModel:
    named = read_config(settings).base_model_name_or_path
    if not named:
        raise UserError(f"{name}: adapter_config.json does not name a base model; set `base`")
    return resolve_base(spec_of(named) or named)


def load_members(
    members: Sequence[TokenMember],
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, TransformersEngine]:
    """Load all members: name -> engine with the member's weights.

    Adapters of one base share the weights they do not change.

    Raises:
        UserError: the device or dtype is unknown, a model cannot be loaded, or an adapter's base
            model is quantised.
    """
    bases: dict[str, TransformersEngine] = {}
    engines = {}
    for member in members:
        key = member.base.fingerprint
        if key not in bases:
            bases[key] = load_engine(member.base, dtype, device, threads, _BATCH)
        engines[member.name] = bases[key]
        if member.adapter is not None:
            refuse_quantised(member.base)
            engines[member.name] = _with_adapter(bases[key], member.adapter)
    return engines


def _with_adapter(base: TransformersEngine, info: AdapterInfo) -> TransformersEngine:
    """A second engine with its own copies of the weights that the adapter changes; the others are
    the base's.
    """
    changes = load_factors(info)
    parameters = base.model.named_parameters()
    shared = {id(value): value for name, value in parameters if name not in changes}
    engine = TransformersEngine(copy.deepcopy(base.model, shared), base.tokenizer)
    engine.load(Patch(low_rank=changes))
    return engine


def has_template(engine: TransformersEngine) -> bool:
    """Whether a model has a chat template."""
    return engine.tokenizer.chat_template is not None


def check_templates(members: Mapping[str, bool]) -> None:
    """Refuse members if only some have a chat template: name -> whether it has one.

    Raises:
        UserError: names the first member without a template.
    """
    without = [name for name, has in members.items() if not has]
    if 0 < len(without) < len(members):
        raise UserError(
            f"{without[0]} has no chat template, but other members do; add a chat_template.jinja file "
            "next to its tokenizer, or remove the member"
        )


def check_answers(engines: Mapping[str, TransformersEngine]) -> None:
    """Check that no member returns NaN.

    Raises:
        UserError: a member returns NaN.
    """
    for name, engine in engines.items():
        engine.name = engine.passes.name = name  # and then keeps its patch
        engine.loglikelihood([(engine.chat(_PROBE), _PROBE)])


def open_members(
    config: SearchConfig,
) -> tuple[Sequence[TokenMember], dict[str, TransformersEngine]]:
    """The models and adapters of a search, of any bases; and all of them loaded.

    Raises:
        UserError: a member cannot be loaded.
    """
    members = find_members(config.experts, config.base or None)
    return members, load_members(members, config.dtype, config.device, config.threads)


def pool_of(space: MixtureSpace, members: Sequence[TokenMember]) -> Pool:
    """The pool of a space over members."""
    bases = {member.base.name for member in members}
    prints = {"experts": {member.name: member.fingerprint for member in members}}
    return Pool(space, prints, bases.pop() if len(bases) == 1 else "")


def write_members(
    file: Path, members: Sequence[TokenMember], weights: Sequence[float] = (), **more: Any
) -> None:
    """Write a directory with one file, completely or not at all: the members, optional `weights`,
    and `more`.

    Raises:
        UserError: the directory exists already, or cannot be made.
    """
    rows = [member.row for member in members]
    for row, weight in zip(rows, weights, strict=False):
        row["weight"] = weight
    with atomic_directory(file.parent) as folder:
        write_json(folder / file.name, {"members": rows, **more})


def _absolute(spec: str) -> str:
    """An absolute path for a directory; a hub id unchanged."""
    path = user_path(spec)
    if path.exists():
        return str(path.resolve())
    return spec


def read_members(file: Path) -> tuple[dict[str, Any], tuple[TokenMember, ...]]:
    """The content of a file written by `write_members`, and its members.

    Raises:
        UserError: the file or its rows are damaged, or a member is missing or has changed.
    """
    content = read_json(file)
    members = []
    with undamaged(file):
        for row in content["members"]:
            (found,) = find_members([row["expert"]], row["base"])
            members.append(replace(found, name=str(row["name"])))
            if found.fingerprint != row["fingerprint"]:
                raise UserError(
                    f"{file}: {row['name']} ({found.spec}) has changed since this file was written; restore it"
                )
    return content, tuple(members)


@contextmanager
def undamaged(file: Path) -> Iterator[None]:
    """Read the content of a file; missing or wrong values mean damage.

    Raises:
        UserError: names the file.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{file} is damaged ({type(error).__name__}: {error}); restore it"
        ) from error
