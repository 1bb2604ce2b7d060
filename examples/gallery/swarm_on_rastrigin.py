"""Fifteen particles, four of them drawn, on a function with a hundred local minima.

python examples/gallery/swarm_on_rastrigin.py swarm.png
"""

import sys

import matplotlib.pyplot as plt

import pyswarmopt as pso

BOX = [(-5.12, 5.12)] * 2

recipe = pso.recipes.constriction()
steps = pso.record(pso.functions.rastrigin, recipe, 80, bounds=BOX, population=15, seed=5)
print(f"best value after 80 moves: {steps[-1].best:.2e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
pso.plot.landscape(pso.functions.rastrigin, BOX, left)
pso.plot.trajectory(steps, left, particles=4)
pso.plot.diversity(steps, right)
figure.savefig(sys.argv[1])
