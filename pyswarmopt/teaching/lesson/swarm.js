// The swarm of the page: the same update as in pyswarmopt/, on arrays of [x, y] or of more coordinates. No drawing, no
// document, no clock.
// tests/core/teaching/test_lesson.py runs it beside the library on the same random numbers.
"use strict";

const Swarm = (() => {
  const TERMS = ["inertia", "cognitive", "social", "repel"];

  const LANDSCAPES = {
    sphere: ([a, b]) => a * a + b * b,
    rosenbrock: ([a, b]) => 100 * (b - a * a) ** 2 + (1 - a) ** 2,
    rastrigin: (x) => 20 + x.reduce((s, a) => s + a * a - 10 * Math.cos(2 * Math.PI * a), 0),
    ackley: ([a, b]) =>
      -20 * Math.exp(-0.2 * Math.sqrt((a * a + b * b) / 2)) -
      Math.exp((Math.cos(2 * Math.PI * a) + Math.cos(2 * Math.PI * b)) / 2) + 20 + Math.E,
    himmelblau: ([a, b]) => (a * a + b - 11) ** 2 + (a + b * b - 7) ** 2,
    six_hump_camel: ([a, b]) =>
      (4 - 2.1 * a * a + a ** 4 / 3) * a * a + a * b + 4 * (b * b - 1) * b * b,
    lunacek: (x) => {
      const s = 1 - 1 / (2 * Math.sqrt(22) - 8.2), m = -Math.sqrt(5.25 / s);
      const sum = (f) => f(x[0]) + f(x[1]);
      const funnels = Math.min(sum((a) => (a - 2.5) ** 2), 2 + s * sum((a) => (a - m) ** 2));
      return funnels + 10 * sum((a) => 1 - Math.cos(2 * Math.PI * (a - 2.5)));
    },
  };

  // The reader's own: f of [x, y]. Where it has no value, anything is better.
  const define = (f) => {
    LANDSCAPES.own = (x) => {
      const value = f(x);
      return Number.isNaN(value) ? Infinity : value;
    };
  };

  // A landscape moved so that its optimum is not in the middle of the box.
  const landscape = (settings) => {
    const f = LANDSCAPES[settings.landscape];
    return (x) => f(x.map((a, d) => a - settings.shift[d]));
  };

  // Whose personal best particle i knows: itself first, then its neighbours in this order.
  const neighbours = (i, n, topology) => {
    if (typeof topology === "function") return topology(i, n);
    const wrap = (k) => ((k % n) + n) % n;
    if (topology === "ring") return [wrap(i - 1), wrap(i + 1)];
    if (topology === "von_neumann") {
      const width = Math.max(Math.round(Math.sqrt(n)), 1);
      return [wrap(i - 1), wrap(i + 1), wrap(i - width), wrap(i + width)];
    }
    return [...Array(n).keys()].filter((k) => k !== i);
  };

  const attractor = (state, i, topology) => {
    if (topology === "global") return state.leader;
    let best = i;
    for (const k of neighbours(i, state.x.length, topology)) if (state.pf[k] < state.pf[best]) best = k;
    return state.p[best];
  };

  // One coordinate at a wall: [position, velocity].
  const WALLS = {
    none: (x, v) => [x, v],
    clip: (x, v, low, high) => (x < low ? [low, 0] : x > high ? [high, 0] : [x, v]),
    confine: (x, v, low, high) => (x < low ? [low, -v / 2] : x > high ? [high, -v / 2] : [x, v]),
    reflect: (x, v, low, high) => {
      if (x >= low && x <= high) return [x, v];
      return [Math.min(Math.max(x < low ? 2 * low - x : 2 * high - x, low), high), -v / 2];
    },
    periodic: (x, v, low, high) => {
      const width = high - low;
      return x >= low && x <= high ? [x, v] : [low + ((((x - low) % width) + width) % width), v];
    },
  };

  const start = (x, v) => ({
    t: 0, x, v, f: [], p: x, pf: x.map(() => Infinity), leader: x[0], best: Infinity, worst: x[0], worstf: -Infinity,
    stagnation: x.map(() => 0), restarted: x.map(() => false), origin: x, move: null,
  });

  // What the next move will be: forces, their coefficients, the velocity they add up to, where that leads.
  // factors: per term an array over particles of [r] (one per particle) or [rx, ry] (one per coordinate).
  const plan = (state, settings, factors) => {
    const n = state.x.length;
    const move = { g: [], forces: {}, coefficients: {}, factors, length: 0, v: [], reach: [], x: [] };
    move.length = settings.step * settings.decay ** state.t;
    for (const term of TERMS) move.forces[term] = [], move.coefficients[term] = [];
    for (let i = 0; i < n; i++) {
      const x = state.origin[i], g = attractor(state, i, settings.topology);
      const each = (of) => x.map((_, d) => of(d)); // for each coordinate
      const pulls = {
        inertia: state.v[i],
        cognitive: each((d) => state.p[i][d] - x[d]),
        social: each((d) => g[d] - x[d]),
        repel: each((d) => x[d] - state.worst[d]),
      };
      const r = (term, d) => (factors[term][i].length > 1 ? factors[term][i][d] : factors[term][i][0]);
      const total = each((d) => TERMS.reduce((s, term) => s + r(term, d) * settings[term], 0));
      for (const term of TERMS) {
        const c = each((d) => (r(term, d) * settings[term]) / (settings.normalise ? total[d] || 1 : 1));
        move.coefficients[term].push(c);
        move.forces[term].push(each((d) => c[d] * pulls[term][d]));
      }
      const force = (d) => TERMS.reduce((s, term) => s + move.forces[term][i][d], 0);
      const written = (d) => settings.update({
        v: state.v[i][d], x: x[d], p: state.p[i][d], g: g[d], worst: state.worst[d],
        w: settings.inertia, c1: settings.cognitive, c2: settings.social, c3: settings.repel,
        r0: r("inertia", d), r1: r("cognitive", d), r2: r("social", d), r3: r("repel", d), C: total[d],
      });
      const sum = each(settings.update ? written : force);
      const reach = each((d) => x[d] + move.length * sum[d]);
      const walled = each((d) => WALLS[settings.boundary](reach[d], sum[d], settings.low, settings.high));
      move.g.push(g);
      move.reach.push(reach);
      move.x.push(walled.map((pair) => pair[0]));
      move.v.push(walled.map((pair) => pair[1]));
    }
    return move;
  };

  // What the values where the particles are change: p, the leader, the worst, each only on strict improvement.
  const remember = (state, settings, f = state.x.map(landscape(settings))) => {
    const next = { ...state, f, p: [...state.p], pf: [...state.pf], stagnation: [...state.stagnation] };
    let low = 0, high = 0;
    f.forEach((value, i) => {
      if (state.t > 0) next.stagnation[i]++;
      if (value < next.pf[i]) {
        next.pf[i] = value;
        next.p[i] = state.x[i];
        next.stagnation[i] = 0;
      }
      if (value < f[low]) low = i;
      if (value > f[high]) high = i;
    });
    if (f[low] < state.best) next.best = f[low], next.leader = state.x[low];
    if (f[high] > state.worstf) next.worstf = f[high], next.worst = state.x[high];
    next.restarted = next.stagnation.map((count) => settings.restart > 0 && count >= settings.restart);
    next.origin = state.x.map((x, i) => (next.restarted[i] ? next.p[i] : x));
    next.v = state.v.map((v, i) => (next.restarted[i] ? v.map(() => 0) : v));
    next.stagnation = next.stagnation.map((count, i) => (next.restarted[i] ? 0 : count));
    return next;
  };

  const moved = (state, move) => ({ ...state, t: state.t + 1, x: move.x, v: move.v, move: null });

  // All rounds of a run: gives the positions of each, takes their values, returns the frames. recorded: factors of the
  // library, a list over moves; random: () -> [0, 1) for the moves after.
  const rounds = function* (x, v, settings, moves, recorded, random) {
    const frames = [];
    let state = remember(start(x, v), settings, yield x);
    for (let t = 0; t < moves; t++) {
      state.move = plan(state, settings, recorded[t] || draw(x.length, settings, random));
      frames.push(state);
      const next = moved(state, state.move);
      state = remember(next, settings, yield next.x);
    }
    frames.push(state);
    return frames;
  };

  const run = (x, v, settings, moves, recorded, random) => {
    const f = landscape(settings), all = rounds(x, v, settings, moves, recorded, random);
    let step = all.next();
    while (!step.done) step = all.next(step.value.map(f));
    return step.value;
  };

  // Factors of one move, one array per term. Inertia has none unless the sum is normalised, as in Model Swarms.
  const draw = (n, settings, random) => {
    const factors = {};
    for (const term of TERMS) {
      const fixed = settings.random === "none" || (term === "inertia" && !settings.normalise);
      const one = () => (fixed ? [1] : settings.random === "scalar" ? [random()] : [random(), random()]);
      factors[term] = Array.from({ length: n }, one);
    }
    return factors;
  };

  // mulberry32 (Tommy Ettinger, public domain): a seed -> () -> [0, 1)
  const generator = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let z = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };

  // Starting positions and velocities: uniform in the box, or the experts and points between two of them.
  const populate = (settings, random) => {
    const { particles: n, low, high, experts } = settings;
    const at = () => low + (high - low) * random();
    const between = () => {
      const a = Math.floor(random() * experts.length);
      const b = (a + 1 + Math.floor(random() * (experts.length - 1))) % experts.length;
      const t = random();
      return experts[a].map((own, d) => t * own + (1 - t) * experts[b][d]);
    };
    const x = Array.from({ length: n }, (_, i) =>
      experts.length ? (i < experts.length ? experts[i] : between()) : [at(), at()]);
    const v = x.map((own, i) => {
      const other = x[(i + 1 + Math.floor(random() * (n - 1))) % n];
      return own.map((from, d) => settings.launch * (other[d] - from));
    });
    return { x, v };
  };

  // Mean distance of the particles from their mean.
  const spread = (x) => {
    const mean = [0, 1].map((d) => x.reduce((s, a) => s + a[d], 0) / x.length);
    return x.reduce((s, a) => s + Math.hypot(a[0] - mean[0], a[1] - mean[1]), 0) / x.length;
  };

  // The same settings with many seeds: how often the swarm's best ends near an optimum, how wide it is in the end.
  const many = (settings, optima, seeds, moves) => {
    let found = 0;
    const spreads = [];
    for (let seed = 0; seed < seeds; seed++) {
      const random = generator(seed + 1);
      const { x, v } = populate(settings, random);
      let state = remember(start(x, v), settings);
      for (let t = 0; t < moves; t++) {
        state = remember(moved(state, plan(state, settings, draw(x.length, settings, random))), settings);
      }
      const near = (o) => Math.hypot(state.leader[0] - o[0], state.leader[1] - o[1]) < 0.02 * (settings.high - settings.low);
      if (optima.some(near)) found++;
      spreads.push(spread(state.x));
    }
    spreads.sort((a, b) => a - b);
    return { found, seeds, interval: wilson(found, seeds), spread: spreads[seeds >> 1] };
  };

  // Wilson's 95% interval of a share (Wilson 1927).
  const wilson = (k, n) => {
    const z = 1.959963984540054, share = k / n, denominator = 1 + (z * z) / n;
    const middle = (share + (z * z) / (2 * n)) / denominator;
    const half = (z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))) / denominator;
    return [Math.max(middle - half, 0), Math.min(middle + half, 1)];
  };

  return { TERMS, define, landscape, neighbours, plan, rounds, run, generator, populate, spread, many, wilson };
})();
