// Mixtures of the experts and their scores. A candidate is one number for each expert; a reader's score is a formula of a
// reply. No document.
"use strict";

const Mixtures = (() => {
  const LETTERS = [..."abcdefghij"];
  const NAMES = ["right", "places", "length", ...LETTERS];
  const LONGEST = 6; // tokens of a reply

  // A reader's score: a function of a reply and the right one.
  const scoreOf = (text) => {
    const formula = Formula.parse(text, NAMES, "score");
    return (reply, right) => formula(counted(reply, right));
  };

  // What a formula may use of a reply: whether it is right, the share of places that are, the number of letters, of each letter.
  const counted = (reply, right) => {
    const said = reply.split(" ").filter(Boolean), wanted = right.split(" ");
    const places = wanted.filter((letter, k) => said[k] === letter).length / wanted.length;
    const letters = Object.fromEntries(LETTERS.map((letter) => [letter, said.filter((one) => one === letter).length]));
    return { right: Number(reply === right), places, length: said.length, ...letters };
  };

  // The model of a mixture, kept until another is asked for.
  const loader = (pool) => {
    let key = null, weights = null;
    return (space, shares) => {
      const wanted = JSON.stringify([space, shares]);
      if (wanted !== key) weights = Llama.mixed(pool, space, shares);
      key = wanted;
      return weights;
    };
  };

  // Replies of mixtures to prompts; what was written once is kept.
  const writer = (pool) => {
    const load = loader(pool), kept = new Map();
    return (space, shares, prompts) => {
      const key = JSON.stringify([space, shares, prompts.map(({ prompt }) => prompt)]);
      if (!kept.has(key)) kept.set(key, Llama.replies(pool, load(space, shares), prompts.map(({ prompt }) => prompt), LONGEST));
      return kept.get(key);
    };
  };

  const mean = (numbers) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;

  // The mean score of replies to prompts.
  const value = (score, prompts, replies) => mean(prompts.map(({ right }, k) => score(replies[k], right)));

  const unit = (size, k) => Array.from({ length: size }, (_, i) => Number(i === k));

  // ---- the plane through three experts ----

  const CORNERS = [[-3.4, -2.4], [3.4, -2.4], [0, 3.2]];

  // Shares of the three corners at a point of the picture; they add up to 1.
  const sharesAt = ([x, y]) => {
    const [[ax, ay], [bx, by], [cx, cy]] = CORNERS, area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
    const b = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area, c = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area;
    return [1 - b - c, b, c];
  };

  // A point of the plane as a candidate: nothing of the other experts.
  const candidateAt = (point, corners, size) => {
    const shares = Array(size).fill(0);
    sharesAt(point).forEach((share, k) => (shares[corners[k]] = share));
    return shares;
  };

  // The point of the plane that is nearest to a candidate, in its coefficients.
  const pointOf = (shares, corners) => {
    const own = corners.map((k) => shares[k]), missing = (1 - own.reduce((sum, one) => sum + one, 0)) / 3;
    return [0, 1].map((d) => own.reduce((sum, one, k) => sum + (one + missing) * CORNERS[k][d], 0));
  };

  const inPlane = (shares, corners) => {
    const others = shares.some((share, k) => share && !corners.includes(k));
    return !others && Math.abs(corners.reduce((sum, k) => sum + shares[k], 0) - 1) < 0.0151; // each is rounded to hundredths
  };

  // A function of the plane from its values at the points of a grid: linear between them, none where none is known.
  const surface = (values, low, high) => {
    const size = values.length - 1;
    return ([x, y]) => {
      const [u, v] = [x, y].map((a) => Math.min(Math.max(((a - low) / (high - low)) * size, 0), size - 1e-9));
      const [i, j] = [Math.floor(u), Math.floor(v)], [s, t] = [u - i, v - j];
      const row = (k) => (1 - s) * values[k][i] + s * values[k][i + 1];
      return (1 - t) * row(j) + t * row(j + 1);
    };
  };

  // The command that writes a mixture as an adapter, in a clone of the repository; experts with the number 0 are left out.
  const command = (names, shares, space) => {
    const used = names.map((name, k) => [name, shares[k]]).filter(([, share]) => share);
    const folders = used.map(([name]) => `    examples/letters/*/${name} \\\n`).join("");
    return `swarm-llm merge --base examples/letters/base --experts \\\n${folders}` +
      `    --space ${space} --weights=${used.map(([, share]) => share).join(",")} --out merged`;
  };

  return { NAMES, CORNERS, scoreOf, counted, writer, value, unit, sharesAt, candidateAt, pointOf, inPlane, surface, command };
})();
