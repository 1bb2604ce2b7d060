"""Learn a policy without gradients: swing a pendulum up and hold it.

python examples/gallery/policy.py pendulum.png
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import pyswarmopt as pso

HIDDEN, STEPS, DT = 6, 200, 0.05
SIZE = 3 * HIDDEN + HIDDEN + HIDDEN  # the weights of a network with one hidden layer


def angles(weights: np.ndarray) -> np.ndarray:
    """The pendulum's angle at each step, 0 when upright, for each row of weights: (n, STEPS)."""
    first = weights[:, : 3 * HIDDEN].reshape(-1, HIDDEN, 3)
    bias, last = np.split(weights[:, 3 * HIDDEN :], 2, axis=1)
    angle, speed = np.full(len(weights), np.pi), np.zeros(len(weights))
    course = []
    for _ in range(STEPS):
        state = np.stack([np.cos(angle), np.sin(angle), speed / 8], axis=1)
        hidden = np.tanh(np.einsum("nij,nj->ni", first, state) + bias)
        torque = 2 * np.tanh((last * hidden).sum(axis=1))
        speed = np.clip(speed + DT * (15 * np.sin(angle) + 3 * torque), -8, 8)
        angle = angle + DT * speed
        course.append(angle)
    return np.stack(course, axis=1)


def height_missed(weights: np.ndarray) -> np.ndarray:
    """Mean distance of the tip below its highest point, (n,), from 0 to 2."""
    return (1 - np.cos(angles(weights))).mean(axis=1)


best = pso.minimize(
    height_missed,
    [(-5, 5)] * SIZE,
    recipe="constriction",
    population=40,
    max_evals=12_000,
    vectorized=True,
    seed=1,
)
print(f"{best.fun:.3f} below the top on average (hanging: 2)")

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ax.plot(np.arange(STEPS) * DT, np.cos(angles(best.x[None])[0]))
ax.set(xlabel="seconds", ylabel="height of the tip", title="a learnt swing-up")
figure.savefig(sys.argv[1])
