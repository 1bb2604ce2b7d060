"""What users of other libraries type: bounds, values and names that are taken, or refused with a cure."""

from __future__ import annotations

import asyncio
import builtins
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

import pyswarmopt as pso

LIMITS = {"max_evals": 12, "seed": 0}


def sphere(x):
    return float((np.asarray(x) ** 2).sum())


@pytest.mark.parametrize(
    "bounds",
    [zip([-5, -5], [5, 5], strict=True), ((-5, 5) for _ in range(2))],
    ids=["zip", "generator"],
)
def test_bounds_may_be_an_iterator(bounds):
    r = pso.minimize(sphere, bounds, **LIMITS)
    assert np.array_equal(r.x, pso.minimize(sphere, [(-5, 5)] * 2, **LIMITS).x)


def test_an_iterator_serves_a_swarm_and_all_seeds_of_a_comparison():
    assert pso.Swarm(bounds=zip([-5] * 3, [5] * 3, strict=True), seed=0).ask().shape[1] == 3
    found = pso.compare(sphere, zip([-5], [5], strict=True), ["fips"], seeds=2, max_evals=40)
    assert len(found.finals("fips")) == 2


def test_a_dict_as_bounds_is_a_space():
    r = pso.minimize(lambda a: (a - 0.3) ** 2, {"a": (0, 1)}, **LIMITS)
    assert set(r.params) == {"a"}
    with pytest.raises(ValueError, match="either space= or bounds="):
        pso.minimize(lambda a: a, {"a": (0, 1)}, space={"a": (0, 1)}, **LIMITS)


def test_text_is_no_bound_as_it_is_no_value():
    for bounds in [("-5", "5")] * 2, (np.array(["-5"]), np.array(["5"])):
        with pytest.raises(ValueError, match="one pair of finite numbers"):
            pso.minimize(sphere, bounds, **LIMITS)


def test_a_dict_or_a_coroutine_is_no_value():
    async def waiting(x):
        return 1.0

    with pytest.raises(ValueError, match=r"must return a number, got \{'loss'.*one of its values"):
        pso.minimize(lambda x: {"loss": sphere(x)}, [(-5, 5)], **LIMITS)
    with pytest.raises(ValueError, match=r"asyncio\.run"):
        pso.minimize(waiting, [(-5, 5)], **LIMITS)
    assert pso.minimize(lambda x: asyncio.run(waiting(x)), [(-5, 5)], **LIMITS).fun == 1


def test_rows_of_a_data_frame_are_points():
    space = {"a": (-1, 1), "b": ["x", "y"]}
    row = pd.DataFrame({"a": [0.5], "b": ["x"]}).iloc[0]
    seen = []
    pso.minimize(lambda a, b: seen.append((a, b)) or a, space=space, x0=row, **LIMITS)
    assert (0.5, "x") in seen
    study = pso.Study(space=space, max_evals=20)
    study.tell(row, 1.0)
    assert study.result().params == {"a": 0.5, "b": "x"}


@pytest.mark.parametrize(
    ("recipe", "cure"),
    [
        ("pso", r"did you mean constriction\?"),
        ("CMA-ES", "covariant"),
        ("covarient", r"covariant\?"),
    ],
)
def test_other_names_of_recipes_are_known(recipe, cure):
    with pytest.raises(ValueError, match=cure):
        pso.minimize(sphere, [(-5, 5)], recipe=recipe)


def test_attributes_of_other_libraries_name_ours():
    study = pso.Study([(0, 1)], max_evals=4)
    swarm = pso.Swarm(bounds=[(0, 1)], seed=0)
    result = pso.minimize(sphere, [(0, 1)], **LIMITS)
    cures = [
        (study, {"optimize": "ask", "best_params": "params", "best": "result"}),
        (swarm, {"optimize": "minimize", "best_position": "best.x"}),
        (result, {"to_json": "json", "to_dict": "dict", "save": "pickle", "to_pandas": "history"}),
        (pso, {"PSO": "constriction", "minimise": "pso.minimize"}),
        (pso.topology, {"Star": "Global"}),
    ]
    for owner, names in cures:
        for name, cure in names.items():
            with pytest.raises(AttributeError, match=f"no attribute '{name}'; .*{cure}"):
                getattr(owner, name)
        with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
            owner.nonsense  # noqa: B018
    assert isinstance(dict(result), dict)


def test_a_lambda_for_processes_is_refused_with_the_cure():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(Exception, match="pickle") as refused,
    ):
        pso.minimize(lambda x: sphere(x), [(-5, 5)], workers=pool, **LIMITS)
    assert any("top of a module" in note for note in refused.value.__notes__)


def test_missing_packages_are_named_with_what_installs_them(monkeypatch):
    r = pso.minimize(sphere, [(-5, 5)], **LIMITS)
    plain = builtins.__import__

    def without(name, *args):
        if name.partition(".")[0] in ("matplotlib", "pandas"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return plain(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"matplotlib.*the extra 'toy'"):
        pso.plot.convergence(r)
    with pytest.raises(ImportError, match=r"pandas.*pip install pandas"):
        r.history.to_pandas()


def test_an_adapter_without_its_library_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import pyswarmopt.interop as i; i.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "needs sklearn, which is not installed: install the extra 'scikit-learn'" in done.stderr


def test_each_of_two_faults_of_whole_numbers_has_its_own_message():
    with pytest.raises(ValueError, match=r"coordinate 1 \(0\.2, 0\.8\) contain no integer$"):
        pso.minimize(sphere, [(0, 3), (0.2, 0.8)], integrality=[False, True], **LIMITS)
    with pytest.raises(ValueError, match=r"coordinate 0 is in both integrality and categorical$"):
        pso.minimize(sphere, [(0, 3)], integrality=True, categorical=True, **LIMITS)
