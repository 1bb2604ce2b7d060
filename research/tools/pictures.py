"""Draw the pictures of README and pages: python research/tools/pictures.py [chart]"""

from __future__ import annotations

import sys
from pathlib import Path

import chart
import matplotlib
import numpy as np
import showcase
from matplotlib.figure import Figure

import pyswarmopt as pso

OUT = Path(__file__).resolve().parents[2] / "docs" / "pictures"
BOX = [(-5.0, 5.0)] * 2


def forces() -> Figure:
    """One move of a small swarm, with the force of every term."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    ax = pso.plot.landscape(pso.functions.ackley, BOX, figure.subplots())
    steps = pso.record(
        pso.functions.ackley, pso.recipes.constriction(), 3, bounds=BOX, population=8, seed=4
    )
    pso.plot.forces(steps[2], ax, particles=[0, 1, 2, 3])
    return figure


def paths() -> Figure:
    """Where a swarm went on a long curved valley."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    ax = pso.plot.landscape(pso.functions.rosenbrock, BOX, figure.subplots())
    recipe = pso.recipes.constriction()
    steps = pso.record(pso.functions.rosenbrock, recipe, 10, bounds=BOX, population=6, seed=1)
    pso.plot.trajectory(steps, ax)
    return figure


def diversity() -> Figure:
    """Best value and spread of five swarms."""
    box = [(-5.12, 5.12)] * 5
    runs = [
        pso.minimize(
            pso.functions.rastrigin,
            box,
            recipe="constriction",
            max_evals=3000,
            seed=s,
            history="particles",
        )
        for s in range(5)
    ]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    pso.plot.convergence({"constriction": runs}, left)
    pso.plot.diversity({"constriction": runs}, right)
    return figure


def experts() -> Figure:
    """A Model Swarm over three experts, on a made-up landscape of errors."""
    corners = np.array([[-4.0, -2.5], [3.6, -1.8], [0.4, 4.2]])
    error = pso.wrappers.shifted(pso.functions.ackley, [0.6, 0.9])
    figure = Figure(figsize=(6, 5), layout="constrained")
    ax = pso.plot.landscape(error, BOX, figure.subplots())
    ax.fill(*corners.T, fill=False, color="black", linewidth=1.0, linestyle="--")
    ax.plot(*corners.T, "s", color="black", markerfacecolor="white", markersize=9, label="experts")
    recipe = pso.recipes.model_swarms(patience=50)
    steps = pso.record(error, recipe, 50, positions=corners, population=12, seed=1)
    pso.plot.trajectory(steps, ax)
    return figure


def main() -> None:
    """Draw all of them, or the charts of results alone."""
    matplotlib.use("agg")
    OUT.mkdir(exist_ok=True)
    chart.draw(OUT)
    if sys.argv[1:] == ["chart"]:
        return
    for draw in (forces, paths, diversity, experts):
        # No date and no version in the file: drawn again, it is the same file.
        draw().savefig(OUT / f"{draw.__name__}.png", dpi=100, metadata={"Software": None})
    showcase.draw(OUT)


if __name__ == "__main__":
    main()
