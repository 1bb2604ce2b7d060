// The race: Algorithm 1, random mixtures and candidates of a model of the scores, each with the same number of evaluations.
// A racer is a generator: it gives a candidate and takes its score on dev. No document.
"use strict";

const Race = (() => {
  const BUDGET = 40;
  // Feng et al. 2024, as pyswarmopt.recipes.model_swarms has it, with ten particles.
  const SETTINGS = {
    inertia: 0.2, cognitive: 0.3, social: 0.4, repel: 0.05, step: 0.8, decay: 0.95, restart: 5, topology: "global", boundary: "none",
    random: "scalar", normalise: true, launch: 1, shift: [],
  };
  const unit = (size, k) => Array.from({ length: size }, (_, i) => Number(i === k));

  // ---- Algorithm 1 ----

  // Ten particles begin at the ten experts; three moves use up the budget. keep: takes the frames.
  const swarm = function* (size, random, keep = () => {}) {
    const experts = Array.from({ length: size }, (_, k) => unit(size, k));
    const settings = { ...SETTINGS, particles: size, experts };
    const { x, v } = Swarm.populate(settings, random);
    const rounds = Swarm.rounds(x, v, settings, BUDGET / size - 1, [], random);
    let step = rounds.next();
    while (!step.done) {
      const values = [];
      for (const one of step.value) values.push(-(yield one)); // the swarm minimises
      step = rounds.next(values);
    }
    keep(step.value);
  };

  // ---- random mixtures ----

  // Shares uniform on the simplex, times a total between 1/2 and 1 + n/3, as `--start sums` draws them.
  const randomMixtures = function* (size, random) {
    for (;;) {
      const parts = Array.from({ length: size }, () => -Math.log(1 - random())), sum = parts.reduce((a, b) => a + b);
      const total = 0.5 + random() * (0.5 + size / 3);
      yield parts.map((part) => (total * part) / sum);
    }
  };

  // ---- surrogate candidates ----

  const distance = (a, b) => Math.hypot(...a.map((x, d) => x - b[d]));

  // Matérn's covariance with smoothness 5/2
  const matern = (length) => (a, b) => {
    const r = (Math.sqrt(5) * distance(a, b)) / length;
    return (1 + r + (r * r) / 3) * Math.exp(-r);
  };

  const cholesky = (matrix) => {
    const root = matrix.map((row) => row.map(() => 0));
    matrix.forEach((row, i) => {
      for (let j = 0; j <= i; j++) {
        let sum = row[j];
        for (let k = 0; k < j; k++) sum -= root[i][k] * root[j][k];
        root[i][j] = i === j ? Math.sqrt(sum) : sum / root[j][j];
      }
    });
    return root;
  };

  // root⁻¹ y
  const solved = (root, y) => {
    const z = [];
    root.forEach((row, i) => z.push((y[i] - z.reduce((sum, a, k) => sum + row[k] * a, 0)) / row[i]));
    return z;
  };

  const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);

  // A Gaussian process with an unknown mean and scale: x -> [mean, standard error].
  const gaussian = (points, values, length, noise) => {
    const kernel = matern(length), n = points.length;
    const root = cholesky(points.map((a, i) => points.map((b, j) => kernel(a, b) + (i === j ? noise : 0))));
    const ones = solved(root, points.map(() => 1)), y = solved(root, values);
    const level = dot(ones, y) / dot(ones, ones), rest = y.map((a, k) => a - level * ones[k]);
    const variance = Math.max(dot(rest, rest) / (n - 1), 1e-12);
    return (x) => {
      const k = solved(root, points.map((point) => kernel(point, x))), off = 1 - dot(ones, k);
      const share = Math.max(1 - dot(k, k) + off ** 2 / dot(ones, ones), 1e-12);
      return [level + dot(k, rest), Math.sqrt(share * variance)];
    };
  };

  // Expected improvement on the best, of a normal (Jones et al. 1998). The normal's distribution by a logistic function.
  const improvement = ([mean, error], best) => {
    const z = (mean - best) / error, below = 1 / (1 + Math.exp(-1.702 * z));
    return error * (z * below + Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI));
  };

  const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  // The experts, the model alone, their average and sum; then where a Gaussian process of the scores expects most. A simple
  // form of the default of `swarm-llm search`: one length, and random tries around the best in the place of a swarm.
  const proposals = function* (size, random) {
    const points = [], values = [];
    const told = function* (point) {
      values.push(yield point);
      points.push(point);
    };
    for (let k = 0; k < size; k++) yield* told(unit(size, k));
    for (const share of [0, 1 / size, 1]) yield* told(Array(size).fill(share));
    for (;;) yield* told(promising(points, values, random));
  };

  const promising = (points, values, random) => {
    const best = Math.max(...values), size = points[0].length;
    const model = gaussian(points, values, Math.sqrt(2), 0.01);
    const order = [...points.keys()].sort((i, j) => values[j] - values[i]).slice(0, 5);
    const tries = Array.from({ length: 400 }, (_, t) => {
      const from = points[order[t % order.length]], width = 0.05 + 0.45 * random();
      return from.map((x) => Math.min(Math.max(x + (random() < 4 / size ? width * normal(random) : 0), -0.5), 1.5));
    });
    return tries.map((x) => [improvement(model(x), best), x]).reduce((a, b) => (b[0] > a[0] ? b : a))[1];
  };

  // ---- the race ----

  const RACERS = { "Algorithm 1": swarm, "random mixtures": randomMixtures, "surrogate candidates": proposals };

  // Its racers in turn, one evaluation each; score: candidate -> on dev, look: candidate -> on held-out prompts, both awaited.
  // After each evaluation told gets the racers so far: of each the best on dev after every evaluation, its score on held-out.
  const run = async (size, seed, score, look, told) => {
    const racers = Object.entries(RACERS).map(([name, racer], k) => {
      const one = { name, dev: [], heldout: [], best: null, frames: [] };
      return { one, racer: racer(size, Swarm.generator(seed + 1000 * k), (frames) => (one.frames = frames)), given: undefined };
    });
    for (let t = 0; t < BUDGET; t++) for (const it of racers) {
      const candidate = it.racer.next(it.given).value, value = await score(candidate), { one } = it;
      it.given = value;
      const better = t === 0 || value > one.dev.at(-1);
      if (better) one.best = candidate;
      one.dev.push(better ? value : one.dev.at(-1));
      one.heldout.push(better ? await look(candidate) : one.heldout.at(-1));
      if (!told(racers.map(({ one }) => one))) return null;
    }
    racers.forEach(({ racer, given }) => racer.next(given)); // the swarm hands its frames over
    return racers.map(({ one }) => one);
  };

  return { BUDGET, SETTINGS, RACERS, gaussian, run };
})();
