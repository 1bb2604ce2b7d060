// What stands beside the picture and follows it: status, legend, equation, numbers, source.
"use strict";

const Panel = (() => {
  const { DATA, $, WORDS, element, shown, pair } = Dom;
  const DIFFERENCE = { inertia: "v", cognitive: "p − x", social: "g − x", repel: "x − worst" };
  const SYMBOL = { inertia: "w", cognitive: "c₁ r₁", social: "c₂ r₂", repel: "c₃ r₃" };


  const terms = (model) => Swarm.TERMS.filter((term) => model.settings[term] > 0 || term !== "repel");

  const say = (model, frame) => {
    const i = model.selected, before = model.frames[model.t - 1];
    let text = `Particle ${i + 1} is at (${pair(frame.x[i])}), value ${shown(frame.f[i])}`;
    if (before && frame.pf[i] < before.pf[i]) text += ": a new best of its own";
    if (before && frame.best < before.best && frame.f[i] === frame.best) text += " and of the swarm";
    if (frame.restarted[i]) text += "; nothing new for too long, so it goes back to its best";
    text += `. Swarm’s best: ${shown(frame.best)}.`;
    $("status").textContent = text;
    const name = model.settings.landscape.replaceAll("_", " ");
    $("view").setAttribute("aria-label", `Landscape ${name} with ${frame.x.length} particles at step ${model.t}. ${text}`);
  };

  const legend = (model) => {
    const entries = [
      ["●", "accent", "followed particle"], ["◇", "cognitive", "its best, p"], ["○", "social", "the best it knows of, g"],
      ["→", "inertia", "inertia"], ["→", "cognitive", "cognitive"], ["→", "social", "social"], ["⇢", "sum", "sum: the move"],
      ["★", "ink", "best point (they do not know it)"],
    ];
    if (model.settings.repel > 0) entries.splice(6, 0, ["→", "repel", "repel"], ["×", "repel", "worst seen"]);
    if (model.settings.experts.length) entries.push(["□", "ink", "experts"]);
    $("legend").replaceChildren(...entries.map(([mark, paint, text]) =>
      element("li", {}, element("i", { textContent: mark, style: `color: var(--${paint})` }), text)));
  };

  const equation = (model) => {
    const { settings } = model, parts = [];
    for (const term of terms(model)) {
      const text = `${settings[term]}${term === "inertia" && !settings.normalise ? "" : " r"}${term === "inertia" ? " v" : ` (${DIFFERENCE[term]})`}`;
      const button = element("button", { type: "button", className: term, textContent: text, title: `${term}: show its source` });
      button.onclick = () => ($("sourceBox").open = true, showPart(term));
      button.dataset.part = term;
      parts.push(parts.length ? " + " : "", button);
    }
    const button = (text, part) => {
      const node = element("button", { type: "button", textContent: text, title: "show its source" });
      node.dataset.part = part;
      node.onclick = () => ($("sourceBox").open = true, showPart(part));
      return node;
    };
    const length = settings.step === 1 && settings.decay === 1 ? "" : "λ ";
    $("equation").replaceChildren(
      button("v′", "velocity"), " = ", ...(settings.normalise ? ["( "] : []), ...parts,
      ...(settings.normalise ? [" ) / C"] : []), element("br"), button("x′", "position"), ` = x + ${length}v′`,
    );
  };

  const numbers = (model, frame) => {
    const i = model.selected, { move } = frame, x = frame.origin[i];
    const cells = (tag, texts) => texts.map((text) => element(tag, { textContent: text }));
    const row = (head, name, ...texts) => element("tr", { className: name }, element("th", { textContent: head, scope: "row" }), ...cells("td", texts));
    if (!move) return $("numbers").replaceChildren(element("caption", { textContent: "The run is over." }));
    const differences = {
      inertia: frame.v[i],
      cognitive: frame.p[i].map((p, d) => p - x[d]),
      social: move.g[i].map((g, d) => g - x[d]),
      repel: x.map((a, d) => a - (frame.worst || x)[d]),
    };
    const scalar = move.factors.social[i].length === 1;
    const coefficient = (term) => (scalar || term === "inertia" ? shown(move.coefficients[term][i][0]) : pair(move.coefficients[term][i]));
    const rows = terms(model).map((term) =>
      row(`${SYMBOL[term]} · ${term === "inertia" ? "v" : `(${DIFFERENCE[term]})`}`, term, coefficient(term), pair(differences[term]), pair(move.forces[term][i])));
    const sum = [0, 1].map((d) => Swarm.TERMS.reduce((s, term) => s + move.forces[term][i][d], 0));
    const after = model.frames[model.t + 1];
    rows.push(row("v′: their sum", "total", "", "", pair(sum)));
    rows.push(row(`x + ${move.length === 1 ? "" : shown(move.length) + " "}v′`, "", "", pair(x), pair(move.reach[i])));
    if (pair(move.x[i]) !== pair(move.reach[i])) rows.push(row("after the wall", "", "", "", pair(move.x[i])));
    rows.push(row("value there", "", "", shown(frame.f[i]), `${shown(after.f[i])}${after.pf[i] < frame.pf[i] ? " — a new p" : ""}`));
    const head = element("thead", {}, element("tr", {}, ...["term", "coefficient", "times", "gives"].map((text) => element("th", { textContent: text, scope: "col" }))));
    $("numbers").replaceChildren(head, element("tbody", {}, ...rows));
  };

  const parts = (model) => {
    const { topology, boundary, restart } = model.settings;
    const names = [...terms(model), "velocity", "position", "memory", `topology: ${WORDS.topology[topology]}`];
    if (boundary !== "none") names.push(`wall: ${boundary}`);
    if (model.settings.step !== 1 || model.settings.decay !== 1) names.push("step length");
    if (restart) names.push("restart");
    const before = $("part").value;
    $("part").replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
    showPart(names.includes(before) ? before : "velocity");
  };

  const showPart = (part) => {
    $("part").value = part;
    $("source").replaceChildren(...DATA.source[part].flatMap(({ file, text }) => [
      element("p", { className: "file", textContent: file }),
      element("pre", { tabIndex: 0 }, element("code", { textContent: text })),
    ]));
    for (const button of $("equation").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String($("sourceBox").open && button.dataset.part === part));
    }
  };

  return { say, legend, equation, numbers, parts, showPart };
})();
