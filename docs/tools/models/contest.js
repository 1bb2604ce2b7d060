// What is seen of the race: its curves, its table, and Algorithm 1 in the plane of three experts.
"use strict";

const Contest = (() => {
  const { $, element } = Dom;
  const PAINT = { "Algorithm 1": "accent", "random mixtures": "cognitive", "surrogate candidates": "social" };
  const shown = (value) => (value === undefined ? "" : value.toFixed(2).replace("-", "−"));

  // A mixture in words, its largest numbers first.
  const told = (names, shares) => {
    const parts = names.map((name, k) => [shares[k], name]).filter(([share]) => Math.abs(share) >= 0.05);
    parts.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    return parts.slice(0, 4).map(([share, name]) => `${shown(share)} ${name}`).join(", ") + (parts.length > 4 ? ", …" : "");
  };

  const legend = () => $("racers").replaceChildren(...Object.entries(PAINT).map(([name, paint]) =>
    element("li", {}, element("i", { textContent: "▬", style: `color: var(--${paint})` }), name)));

  const curves = (racers) => {
    const { g, width, height } = Draw.prepare($("curves")), left = 40, right = width - 6, top = 8, bottom = height - 18;
    const all = racers.flatMap(({ dev, heldout }) => [...dev, ...heldout]);
    if (!all.length) return;
    const low = Math.min(...all), high = Math.max(...all), range = high - low || 1;
    const x = (k) => left + ((right - left) * k) / (Race.BUDGET - 1), y = (value) => bottom - ((bottom - top) * (value - low)) / range;
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "middle";
    g.fillStyle = Draw.colour("soft");
    g.strokeStyle = Draw.colour("line");
    g.textAlign = "right";
    for (const value of [low, high]) {
      g.beginPath();
      g.moveTo(left, y(value));
      g.lineTo(right, y(value));
      g.stroke();
      g.fillText(shown(value), left - 5, y(value));
    }
    g.fillText(`${Race.BUDGET} evaluations`, right, height - 6);
    for (const { name, dev, heldout } of racers) for (const [values, dashes] of [[dev, []], [heldout, [5, 4]]]) {
      g.strokeStyle = Draw.colour(PAINT[name]);
      g.lineWidth = 2;
      g.setLineDash(dashes);
      g.beginPath();
      values.forEach((value, k) => g.lineTo(x(k), y(value)));
      g.stroke();
    }
    g.setLineDash([]);
    const ends = racers.map(({ name, dev, heldout }) => `${name} ${shown(dev.at(-1))} on dev, ${shown(heldout.at(-1))} on held-out prompts`);
    $("curves").setAttribute("aria-label", `After ${racers[0].dev.length} of ${Race.BUDGET} evaluations: ${ends.join("; ")}.`);
  };

  const table = (racers, names) => {
    const heads = ["search", "dev", "held-out", "its best mixture"];
    const head = element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { textContent: text, scope: "col" }))));
    const rows = racers.filter(({ best }) => best).map(({ name, dev, heldout, best }) => element("tr", {}, element("th", { textContent: name, scope: "row" }),
      ...[shown(dev.at(-1)), shown(heldout.at(-1)), told(names, best)].map((text) => element("td", { textContent: text }))));
    $("results").replaceChildren(head, element("tbody", {}, ...rows));
  };

  // Frames of ten numbers as frames of the plane: places by their foot, arrows by theirs.
  const flat = (frames, corners) => {
    const place = (shares) => Mixtures.pointOf(shares, corners), size = frames[0].x[0].length, middle = place(Array(size).fill(0));
    const arrow = (change) => place(change).map((a, d) => a - middle[d]);
    const moved = (move) => move && {
      length: move.length, g: move.g.map(place), x: move.x.map(place), reach: move.reach.map(place),
      forces: Object.fromEntries(Swarm.TERMS.map((term) => [term, move.forces[term].map(arrow)])),
    };
    return frames.map((frame) => ({
      x: frame.x.map(place), p: frame.p.map(place), origin: frame.origin.map(place), leader: place(frame.leader), worst: place(frame.worst),
      f: frame.f, restarted: frame.restarted, move: moved(frame.move),
    }));
  };

  return { legend, curves, table, flat, told };
})();
