// Small helpers of the page: elements, numbers as text, the lesson's data and words.
"use strict";

const Dom = (() => {
  const DATA = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const WORDS = {
    topology: { global: "everybody", ring: "ring", von_neumann: "lattice" },
    boundary: { none: "no walls", clip: "stop", confine: "stop and turn", reflect: "bounce", periodic: "around" },
    random: { element: "one per coordinate", scalar: "one per particle", none: "none (r = 1)" },
  };

  const element = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  // HTML that comes from the lesson's own texts.
  const rich = (tag, html) => element(tag, { innerHTML: html });

  const shown = (value) => {
    if (!Number.isFinite(value)) return value === -Infinity ? "−∞" : "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e4)) return value.toExponential(1).replace("-", "−").replace("e−", "e−");
    return value.toFixed(3).replace("-", "−");
  };
  const pair = (x) => `${shown(x[0])}, ${shown(x[1])}`;

  return { DATA, $, WORDS, element, rich, shown, pair };
})();
