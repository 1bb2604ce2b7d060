// Formulas that a reader types: + - * / ^, brackets, names, a few functions. They are computed here and never run as a script.
// tests/core/teaching/test_lesson_formulas.py compares them with Python's.
"use strict";

const Formula = (() => {
  const FUNCTIONS = new Map(["sin", "cos", "exp", "log", "sqrt", "abs", "min", "max"].map((name) => [name, Math[name]]));
  const CONSTANTS = new Map([["pi", Math.PI], ["e", Math.E]]);
  const TOKEN = /\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|[a-z_]\w*|\S)/giy;
  const PLAIN = [[/−/g, "-"], [/[·×]/g, "*"], [/\*\*/g, "^"]];

  const tokens = (text) => {
    const plain = PLAIN.reduce((t, [from, to]) => t.replace(from, to), text.trim());
    return [...plain.matchAll(TOKEN)].map((match) => match[1]);
  };

  // text -> a function of an object that has a number for each of these names. Throws an Error that says what is wrong.
  const parse = (text, names) => {
    const [formula] = parseAll(text, names, 1);
    return formula;
  };

  // The formulas of a list with commas.
  const parseAll = (text, names, most = Infinity) => {
    const left = tokens(text);
    const next = (...expected) => (expected.includes(left[0]) ? left.shift() : null);

    const list = () => {
      const found = [sum()];
      while (next(",")) found.push(sum());
      return found;
    };
    const sum = () => {
      let total = product();
      for (let sign = next("+", "-"); sign; sign = next("+", "-")) total = binary(sign, total, product());
      return total;
    };
    const product = () => {
      let total = signed();
      for (let sign = next("*", "/"); sign; sign = next("*", "/")) total = binary(sign, total, signed());
      return total;
    };
    const signed = () => {
      if (next("+")) return signed();
      if (!next("-")) return power();
      const value = signed();
      return (s) => -value(s);
    };
    const power = () => {
      const base = atom();
      return next("^") ? binary("^", base, signed()) : base;
    };
    const atom = () => {
      const token = left.shift();
      if (token === undefined) throw new Error("Something is missing at the end.");
      if (token === "(") return closed(sum());
      if (/^[\d.]/.test(token) && token !== ".") return () => Number(token);
      if (names.includes(token)) return (s) => s[token];
      if (CONSTANTS.has(token)) return () => CONSTANTS.get(token);
      if (FUNCTIONS.has(token)) return call(token);
      if (/^[a-z_]/i.test(token)) throw new Error(`“${token}” is unknown here. Known are ${names.join(", ")}.`);
      throw new Error(`“${token}” does not belong there.`);
    };
    const call = (name) => {
      if (!next("(")) throw new Error(`“${name}” needs brackets: ${name}(…).`);
      const values = closed(list());
      return (s) => FUNCTIONS.get(name)(...values.map((value) => value(s)));
    };
    const closed = (inside) => {
      if (!next(")")) throw new Error("A bracket is not closed.");
      return inside;
    };

    const found = list();
    if (left.length) throw new Error(`“${left[0]}” does not belong there. Between two factors stands a *.`);
    if (found.length > most) throw new Error("One formula is asked for, without commas.");
    return found;
  };

  const binary = (sign, a, b) => {
    if (sign === "+") return (s) => a(s) + b(s);
    if (sign === "-") return (s) => a(s) - b(s);
    if (sign === "*") return (s) => a(s) * b(s);
    if (sign === "/") return (s) => a(s) / b(s);
    return (s) => a(s) ** b(s);
  };

  // The lowest point of f in a box: the best of a grid, then a compass search.
  const lowest = (f, low, high) => {
    const size = 120, step = (high - low) / size;
    let best = [low, low], value = Infinity;
    const look = (x) => {
      if (x.some((a) => a < low || a > high)) return false;
      const found = f(x);
      if (!(found < value)) return false;
      best = x;
      value = found;
      return true;
    };
    for (let i = 0; i <= size; i++) for (let j = 0; j <= size; j++) look([low + i * step, low + j * step]);
    for (let s = step; s > 1e-9; s /= 2) {
      const around = [[s, 0], [-s, 0], [0, s], [0, -s]];
      while (around.some(([a, b]) => look([best[0] + a, best[1] + b])));
    }
    return best;
  };

  return { parse, parseAll, lowest };
})();
