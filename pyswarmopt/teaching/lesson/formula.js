// Formulas that a reader types: + - * / % ^, brackets, names, functions. They are computed here and never run as a script.
// Read as people write: x², 0,73, C1, c₁, 2x, v′ = ... tests/core/teaching/test_lesson_formulas.py compares them with Python's.
"use strict";

const Formula = (() => {
  const NAMED = "sin cos tan asin acos atan sinh cosh tanh exp ln log log10 log2 sqrt abs floor ceil round sign min max";
  const FUNCTIONS = new Map(NAMED.split(" ").map((name) => [name, Math[name]])).set("ln", Math.log);
  const CONSTANTS = new Map([["pi", Math.PI], ["e", Math.E]]);
  const TOKEN = /\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|[a-z_]\w*|\S)/giy;
  const digits = (signs) => (text) => [...text].map((sign) => signs.indexOf(sign)).join("");
  const PLAIN = [
    [/[−–]/g, "-"], [/[·×⋅•∙]/g, "*"], [/÷/g, "/"], [/\*\*/g, "^"], [/π/g, "pi"], [/√/g, "sqrt"], [/[[{]/g, "("], [/[\]}]/g, ")"],
    [/[₀-₉]+/g, digits("₀₁₂₃₄₅₆₇₈₉")],
    [/(⁻?)([⁰¹²³⁴-⁹]+)/g, (_, minus, power) => `^(${minus && "-"}${digits("⁰¹²³⁴⁵⁶⁷⁸⁹")(power)})`],
  ];

  // Each token and whether it follows the one before without a space.
  const tokens = (text) => {
    const plain = PLAIN.reduce((t, [from, to]) => t.replace(from, to), text.trim());
    return [...plain.matchAll(TOKEN)].map(([all, token]) => ({ token, close: all === token }));
  };

  // What stands before =, if it is only the name of what the formula gives.
  const NAME = /^\s*([a-z]\w*\s*['′’´`]?\s*(?:[([][^=]*)?)=/i;
  const withoutName = (text, gives) => {
    const found = NAME.exec(text);
    if (!found) return text;
    if (!found[1].toLowerCase().startsWith(gives)) throw new Error(`Write what ${gives} is, not “${found[1].trim()}”.`);
    return text.slice(found[0].length);
  };

  // text -> a function of an object that has a number for each of these names. Throws an Error that says what is wrong.
  // gives: the letter that may stand before =.
  const parse = (text, names, gives = "f") => {
    const [formula] = parseAll(withoutName(text, gives), names, 1);
    return formula;
  };

  // The formulas of a list with commas. In a single one, 0,73 is a number.
  const parseAll = (text, names, most = Infinity) => {
    const left = tokens(text);
    let lists = most === 1 ? 0 : 1; // how many lists with commas this place is in
    const ahead = () => left[0]?.token;
    const next = (...expected) => (expected.includes(ahead()) ? left.shift().token : null);

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
      for (let sign = times(); sign; sign = times()) total = binary(sign, total, signed());
      return total;
    };
    // 2x, c1 r1 (p - x): a name or a bracket that follows is multiplied.
    const times = () => next("*", "/", "%") || (/^[a-z_(]/i.test(ahead() ?? "") ? "*" : null);
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
      if (!left.length) throw new Error("Something is missing at the end.");
      const { token } = left.shift();
      if (token === "(") return closed(sum());
      if (/^[\d.]/.test(token) && token !== ".") return number(token);
      if (/^[a-z_]/i.test(token)) return named(token);
      if (token === "|") throw new Error("Write abs(x) for |x|.");
      throw new Error(`“${token}” does not belong there.`);
    };
    const number = (token) => {
      const decimals = left[1]?.token;
      const comma = !lists && /^\d+$/.test(token) && ahead() === "," && left[0].close && left[1]?.close && /^\d+$/.test(decimals);
      if (comma) left.splice(0, 2);
      const value = Number(comma ? `${token}.${decimals}` : token);
      return () => value;
    };
    const named = (token) => {
      const alike = [token, token.toLowerCase(), token.toLowerCase().replace("_", "")];
      const name = alike.find((one) => names.includes(one) || CONSTANTS.has(one) || FUNCTIONS.has(one));
      if (name === undefined) throw new Error(unknown(token));
      if (names.includes(name)) return (s) => s[name];
      return CONSTANTS.has(name) ? () => CONSTANTS.get(name) : call(name);
    };
    const unknown = (token) => {
      const factors = token.toLowerCase().match(new RegExp([...names].sort((a, b) => b.length - a.length).join("|"), "g")) ?? [];
      if (factors.join("") === token.toLowerCase()) return `“${token}” is unknown here: write ${factors.join("*")}.`;
      return `“${token}” is unknown here. The page knows ${names.join(", ")}; the numbers pi, e; the functions ${NAMED.replaceAll(" ", ", ")}.`;
    };
    const call = (name) => {
      if (!next("(")) throw new Error(`“${name}” needs brackets: ${name}(…).`);
      const many = name === "min" || name === "max";
      lists += many;
      const values = closed(many ? list() : [sum()]);
      lists -= many;
      return (s) => FUNCTIONS.get(name)(...values.map((value) => value(s)));
    };
    const closed = (inside) => {
      if (!next(")")) throw new Error("A bracket is not closed.");
      return inside;
    };

    const found = list();
    if (left.length) throw new Error(`“${ahead()}” does not belong there. Write 3*x for a product, x^2 for a power.`);
    if (found.length > most) throw new Error("Enter a single formula, without commas. (A number may have one: 0,73 is 0.73.)");
    return found;
  };

  const binary = (sign, a, b) => {
    if (sign === "+") return (s) => a(s) + b(s);
    if (sign === "-") return (s) => a(s) - b(s);
    if (sign === "*") return (s) => a(s) * b(s);
    if (sign === "/") return (s) => a(s) / b(s);
    if (sign === "%") return (s) => ((a(s) % b(s)) + b(s)) % b(s); // as in Python: never below 0 for b above 0
    return (s) => a(s) ** b(s);
  };

  // The lowest point of f in a box: the best of a grid, then a compass search. Places without a value, or where it is
  // infinite, are passed over.
  const lowest = (f, low, high) => {
    const size = 120, step = (high - low) / size;
    let best = [low, low], value = Infinity;
    const look = (x) => {
      if (x.some((a) => a < low || a > high)) return false;
      const found = f(x);
      if (!Number.isFinite(found) || found >= value) return false;
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

  // Where in a box f has a value, by a grid: its share, the corners around it, a point where f is −∞.
  const domain = (f, low, high) => {
    const size = 120;
    const found = { share: 0, from: [Infinity, Infinity], to: [-Infinity, -Infinity], bottomless: null };
    for (let i = 0; i <= size; i++) for (let j = 0; j <= size; j++) {
      const x = [i, j].map((k) => low + ((high - low) * k) / size), value = f(x);
      if (value === -Infinity) found.bottomless ??= x;
      if (!Number.isFinite(value)) continue;
      found.share += 1 / (size + 1) ** 2;
      found.from = found.from.map((a, d) => Math.min(a, x[d]));
      found.to = found.to.map((a, d) => Math.max(a, x[d]));
    }
    return found;
  };

  return { parse, parseAll, lowest, domain };
})();
