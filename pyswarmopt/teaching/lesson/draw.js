// What the page draws: the landscape with its swarm, the two small charts, the map of stable coefficients.
"use strict";

const Draw = (() => {
  const MARGIN = 0.08; // of the box, on every side, so that one sees who leaves it
  const BANDS = 11;
  const LETTER = { inertia: "i", cognitive: "c", social: "s", repel: "r" };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  // A canvas as large as it is shown, in CSS pixels.
  const prepare = (canvas) => {
    const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    return { g, width, height };
  };

  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  const reliefs = new Map(); // the last ones, by what they show

  // Height as colour on a logarithmic scale, with a line where one band ends.
  const relief = (settings, size) => {
    const key = JSON.stringify([settings.landscape, settings.formula, settings.shift, settings.low, settings.high, size, colour("low")]);
    if (reliefs.has(key)) return reliefs.get(key);
    const f = Swarm.landscape(settings), side = settings.high - settings.low;
    const at = (k) => settings.low - MARGIN * side + ((k + 0.5) / size) * side * (1 + 2 * MARGIN);
    const z = new Float64Array(size * size);
    let low = Infinity, high = -Infinity;
    for (let j = 0; j < size; j++) for (let i = 0; i < size; i++) {
      const value = (z[j * size + i] = f([at(i), at(size - 1 - j)]));
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const level = (value) => Math.log1p((40 * (value - low)) / (high - low || 1)) / Math.log1p(40);
    const [dark, light, line, empty] = ["low", "high", "contour", "line"].map((name) => rgb(colour(name)));
    const image = new ImageData(size, size);
    for (let k = 0; k < z.length; k++) {
      if (!Number.isFinite(z[k])) {
        image.data.set([...empty, 255], 4 * k); // no value here
        continue;
      }
      const u = level(z[k]), band = Math.floor(u * BANDS);
      const right = k % size < size - 1 ? level(z[k + 1]) : u, below = k + size < z.length ? level(z[k + size]) : u;
      const edge = Math.floor(right * BANDS) !== band || Math.floor(below * BANDS) !== band ? 0.22 : 0;
      for (let c = 0; c < 3; c++) {
        const shade = dark[c] + (light[c] - dark[c]) * (0.5 * u + (0.5 * (band + 0.5)) / BANDS);
        image.data[4 * k + c] = shade + (line[c] - shade) * edge;
      }
      image.data[4 * k + 3] = 255;
    }
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = size;
    canvas.getContext("2d").putImageData(image, 0, 0);
    if (reliefs.size > 3) reliefs.clear();
    reliefs.set(key, canvas);
    return canvas;
  };

  // Coordinates of the box -> CSS pixels.
  const projection = (settings, width) => {
    const side = settings.high - settings.low, scale = width / (side * (1 + 2 * MARGIN));
    const left = settings.low - MARGIN * side, top = settings.high + MARGIN * side;
    return ([x, y]) => [(x - left) * scale, (top - y) * scale];
  };

  const line = (g, from, to) => {
    g.beginPath();
    g.moveTo(...from);
    g.lineTo(...to);
    g.stroke();
  };

  const arrow = (g, from, to, width, halo = 0) => {
    const dx = to[0] - from[0], dy = to[1] - from[1], length = Math.hypot(dx, dy);
    if (length < 1.5) return;
    const head = Math.min(4 + 2.2 * (width - halo), length * 0.7), ux = dx / length, uy = dy / length;
    const neck = [to[0] - ux * head * 0.8, to[1] - uy * head * 0.8];
    g.lineWidth = width;
    line(g, from, neck);
    g.beginPath();
    g.moveTo(...to);
    g.lineTo(to[0] - ux * head - uy * head * 0.45, to[1] - uy * head + ux * head * 0.45);
    g.lineTo(to[0] - ux * head + uy * head * 0.45, to[1] - uy * head - ux * head * 0.45);
    g.closePath();
    g.fill();
    if (halo) {
      g.lineWidth = halo;
      g.setLineDash([]);
      g.stroke();
    }
  };

  // A stroke with a halo, so that it reads on any ground.
  const haloed = (g, paint, width, draw) => {
    for (const [style, extra] of [[colour("card"), 3], [paint, 0]]) {
      g.strokeStyle = g.fillStyle = style;
      draw(width + extra, extra);
    }
  };

  const label = (g, text, [x, y], paint, size = 13) => {
    g.font = `600 ${size}px system-ui, sans-serif`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.lineWidth = 4;
    g.strokeStyle = colour("card");
    g.strokeText(text, x, y);
    g.fillStyle = paint;
    g.fillText(text, x, y);
  };

  // The name of an expert, whole inside the picture; in a small one it is smaller.
  const expertName = (g, text, [x, y]) => {
    const width = g.canvas.clientWidth, size = width < 240 ? 9 : 13, half = 0.3 * size * text.length;
    label(g, text, [Math.min(Math.max(x, half), width - half), y], colour("ink"), size);
  };

  const disc = (g, [x, y], radius, fill) => {
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    g.fillStyle = fill;
    g.fill();
    g.lineWidth = 2;
    g.strokeStyle = colour("card");
    g.stroke();
  };

  const cross = (g, [x, y], size) => {
    line(g, [x - size, y - size], [x + size, y + size]);
    line(g, [x - size, y + size], [x + size, y - size]);
  };

  const diamond = (g, [x, y], size) => {
    g.beginPath();
    g.moveTo(x, y - size);
    g.lineTo(x + size, y);
    g.lineTo(x, y + size);
    g.lineTo(x - size, y);
    g.closePath();
    g.stroke();
  };

  // The forces of a particle, head to tail from where it is; their sum is the dark arrow.
  const chain = (g, at, frame, settings, i) => {
    const { move } = frame;
    let from = frame.origin[i];
    const tags = [];
    for (const term of Swarm.TERMS) {
      const force = move.forces[term][i], to = [0, 1].map((d) => from[d] + move.length * force[d]);
      const [a, b] = [at(from), at(to)];
      haloed(g, colour(term), 2.6, (width, halo) => arrow(g, a, b, width, halo));
      if (Math.hypot(b[0] - a[0], b[1] - a[1]) > 16) tags.push([term, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]]);
      from = to;
    }
    const single = Swarm.TERMS.filter((term) => Math.hypot(...move.forces[term][i]) > 1e-9).length < 2;
    if (!single) {
      haloed(g, colour("sum"), 1.8, (width, halo) => {
        g.setLineDash([6, 4]);
        arrow(g, at(frame.origin[i]), at(move.reach[i]), width, halo);
        g.setLineDash([]);
      });
    }
    if (Math.hypot(...[0, 1].map((d) => move.reach[i][d] - move.x[i][d])) > 1e-9) {
      g.setLineDash([2, 3]);
      line(g, at(move.reach[i]), at(move.x[i]));
      g.setLineDash([]);
    }
    for (const [term, place] of tags) label(g, LETTER[term], place, colour(term));
  };

  const particleArrows = (g, at, frame, i) => {
    for (const term of Swarm.TERMS) {
      const force = frame.move.forces[term][i], from = frame.origin[i];
      g.strokeStyle = g.fillStyle = colour(term);
      arrow(g, at(from), at([0, 1].map((d) => from[d] + frame.move.length * force[d])), 1.3);
    }
  };

  const background = (g, width, settings, optima, at) => {
    g.drawImage(relief(settings, Math.min(Math.round(width), 520)), 0, 0, width, width);
    const [left, top] = at([settings.low, settings.high]), [right, bottom] = at([settings.high, settings.low]);
    g.strokeStyle = colour("soft");
    g.lineWidth = 1.2;
    g.setLineDash(settings.boundary === "none" ? [4, 4] : []);
    g.strokeRect(left, top, right - left, bottom - top);
    g.setLineDash([]);
    for (const o of optima) label(g, "★", at(o), colour("ink"));
  };

  const knowledge = (g, at, model, frame) => {
    const { settings, selected } = model;
    if (settings.experts.length) {
      g.strokeStyle = colour("ink");
      g.lineWidth = 1;
      g.setLineDash([5, 4]);
      settings.experts.forEach((e, k) => line(g, at(e), at(settings.experts[(k + 1) % settings.experts.length])));
      g.setLineDash([]);
      settings.experts.forEach((e, k) => {
        const [x, y] = at(e);
        g.fillStyle = colour("card");
        g.strokeStyle = colour("ink");
        g.lineWidth = 1;
        g.fillRect(x - 6, y - 6, 12, 12);
        g.strokeRect(x - 6, y - 6, 12, 12);
        if (settings.names) expertName(g, settings.names[k], [x, y + (e[1] < 0 ? 18 : -18)]);
      });
    }
    if (settings.topology !== "global") {
      g.strokeStyle = colour("ink");
      g.lineWidth = 1.4;
      g.setLineDash([1, 4]);
      for (const k of Swarm.neighbours(selected, frame.x.length, settings.topology)) {
        line(g, at(frame.x[selected]), at(frame.p[k]));
      }
      g.setLineDash([]);
    }
    frame.p.forEach((p, i) => {
      g.strokeStyle = colour("cognitive");
      g.lineWidth = i === selected ? 2.4 : 1;
      g.globalAlpha = i === selected ? 1 : 0.55;
      diamond(g, at(p), i === selected ? 7 : 4.5);
    });
    g.globalAlpha = 1;
    const g0 = frame.move ? frame.move.g[selected] : frame.leader;
    const [x, y] = at(g0);
    haloed(g, colour("social"), 2.4, (width) => {
      g.lineWidth = width;
      g.beginPath();
      g.arc(x, y, 11, 0, 2 * Math.PI);
      g.stroke();
    });
    if (settings.repel > 0 && frame.worst) {
      haloed(g, colour("repel"), 2.6, (width) => ((g.lineWidth = width), cross(g, at(frame.worst), 6)));
    }
  };

  const trails = (g, at, model) => {
    model.frames[model.t].x.forEach((_, i) => {
      const followed = i === model.selected, length = followed ? 8 : 2;
      g.strokeStyle = colour(followed ? "accent" : "ink");
      g.lineWidth = followed ? 1.8 : 1;
      for (let t = Math.max(0, model.t - length); t < model.t; t++) {
        g.globalAlpha = (followed ? 0.9 : 0.4) * (1 - (model.t - t - 1) / length);
        line(g, at(model.frames[t].origin[i]), at(model.frames[t + 1].x[i]));
      }
    });
    g.globalAlpha = 1;
  };

  // Where a particle is drawn; progress: how far, 0 to 1, it is on its way to the next frame.
  const place = (frame, i, progress) => {
    if (!frame.move || !progress) return frame.x[i];
    return [0, 1].map((d) => frame.origin[i][d] + progress * (frame.move.x[i][d] - frame.origin[i][d]));
  };

  // The whole picture.
  const view = (canvas, model) => {
    const { g, width } = prepare(canvas), frame = model.frames[model.t], at = projection(model.settings, width);
    background(g, width, model.settings, model.optima, at);
    trails(g, at, model);
    knowledge(g, at, model, frame);
    const shown = (i) => at(place(frame, i, model.progress));
    frame.restarted.forEach((sent, i) => {
      if (!sent) return;
      g.strokeStyle = colour("cognitive");
      g.lineWidth = 1.4;
      g.setLineDash([5, 3]);
      line(g, at(frame.x[i]), at(frame.origin[i]));
      g.setLineDash([]);
    });
    if (frame.move && model.arrows === "all") frame.x.forEach((_, i) => i !== model.selected && particleArrows(g, at, frame, i));
    frame.x.forEach((_, i) => i !== model.selected && disc(g, shown(i), 5, colour("ink")));
    if (frame.move && model.arrows !== "none") chain(g, at, frame, model.settings, model.selected);
    disc(g, shown(model.selected), 7.5, colour("accent"));
    const outside = frame.x.filter((x) => at(x).some((c) => c < 0 || c > width)).length;
    if (outside) label(g, `${outside} of ${frame.x.length} outside the picture`, [width / 2, width - 18], colour("bad"));
  };

  const power = (k) => "10" + String(k).replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);

  // A small line chart: own series, the recording in grey behind it, a mark at the present step.
  const chart = (canvas, series, ghost, t, logarithmic) => {
    const { g, width, height } = prepare(canvas), left = 44, bottom = height - 6, top = 8;
    const scale = logarithmic ? (v) => Math.log10(Math.max(v, 1e-12)) : (v) => v;
    const all = [...series, ...(ghost || [])].map(scale).filter(Number.isFinite);
    if (!all.length) return; // nothing has a value
    let low = logarithmic ? Math.floor(Math.min(...all)) : 0, high = logarithmic ? Math.ceil(Math.max(...all)) : Math.max(...all);
    if (high - low < 1e-9) high = low + 1;
    const x = (k) => left + ((width - left - 8) * k) / (series.length - 1);
    const y = (v) => bottom - ((bottom - top) * (scale(v) - low)) / (high - low);
    g.font = "11px system-ui, sans-serif";
    g.textAlign = "right";
    g.textBaseline = "middle";
    for (const value of [low, high]) {
      const shown = logarithmic ? 10 ** value : value;
      g.strokeStyle = colour("line");
      g.lineWidth = 1;
      line(g, [left, y(shown)], [width - 8, y(shown)]);
      g.fillStyle = colour("soft");
      g.fillText(logarithmic ? power(value) : shown.toPrecision(2), left - 5, y(shown));
    }
    const path = (values, paint, thick) => {
      g.strokeStyle = paint;
      g.lineWidth = thick;
      g.lineJoin = "round";
      g.beginPath();
      values.forEach((v, k) => g.lineTo(x(k), y(v)));
      g.stroke();
    };
    if (ghost) path(ghost, colour("soft"), 1.2);
    path(series, colour("accent"), 2);
    disc(g, [x(t), y(series[t])], 4.5, colour("accent"));
  };

  // The upper end of cognitive + social for a given inertia (Poli 2009).
  const limit = (w) => (24 * (1 - w * w)) / (7 - 5 * w);

  const map = (canvas, settings) => {
    const { g, width, height } = prepare(canvas), left = 24, bottom = height - 30, top = 6, right = width - 6;
    const x = (w) => left + ((right - left) * w) / 1.2, y = (c) => bottom - ((bottom - top) * c) / 6;
    g.fillStyle = g.strokeStyle = colour("good");
    g.globalAlpha = 0.22;
    g.beginPath();
    g.moveTo(x(0), y(0));
    for (let w = 0; w <= 1.0001; w += 0.02) g.lineTo(x(Math.min(w, 1)), y(limit(Math.min(w, 1))));
    g.closePath();
    g.fill();
    g.globalAlpha = 1;
    g.strokeStyle = colour("soft");
    g.lineWidth = 1;
    line(g, [left, bottom], [right, bottom]);
    line(g, [left, bottom], [left, top]);
    g.fillStyle = colour("soft");
    g.font = "11px system-ui, sans-serif";
    g.textAlign = "center";
    for (const w of [0, 0.5, 1]) g.fillText(w, x(w), bottom + 11);
    g.fillText("inertia w", (left + right) / 2, bottom + 26);
    g.textAlign = "right";
    for (const c of [2, 4, 6]) g.fillText(c, left - 4, y(c) + 4);
    g.textAlign = "left";
    g.fillText("c₁ + c₂", left + 5, top + 8);
    disc(g, [x(settings.inertia), y(settings.cognitive + settings.social)], 5.5, colour("accent"));
  };

  return { view, place, chart, map, limit, projection, prepare, colour };
})();
