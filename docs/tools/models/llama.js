// A Llama in plain JavaScript: it reads safetensors files, mixes LoRA adapters into the base, writes replies. No document, no clock.
// tests/docs/test_models_page.py runs it beside pyswarmopt_llm on the same files.
"use strict";

const Llama = (() => {
  const LINEAR = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];

  // ---- files ----

  // A bfloat16 is the upper half of a float32.
  const widened = (halves) => {
    const words = new Uint32Array(halves.length);
    for (let k = 0; k < words.length; k++) words[k] = halves[k] << 16;
    return new Float32Array(words.buffer);
  };

  // name -> { shape, data } of a safetensors file: eight bytes with the header's length, the header, the numbers.
  const tensors = (file) => {
    const length = Number(new DataView(file).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
    delete header.__metadata__;
    return Object.fromEntries(Object.entries(header).map(([name, { dtype, shape, data_offsets: [from, to] }]) => {
      if (dtype !== "BF16") throw new Error(`${name} is ${dtype}; the page reads BF16.`);
      return [name, { shape, data: widened(new Uint16Array(file.slice(8 + length + from, 8 + length + to))) }];
    }));
  };

  // name of a linear layer -> its factors in an adapter: b (out, rank), and a turned round, (in, rank).
  const adapter = (file) => {
    const found = tensors(file), start = "base_model.model.", end = ".lora_A.weight";
    const names = Object.keys(found).filter((name) => name.endsWith(end)).map((name) => name.slice(start.length, -end.length));
    return Object.fromEntries(names.map((name) => {
      const [a, b] = ["A", "B"].map((letter) => found[`${start}${name}.lora_${letter}.weight`]);
      return [name, { a: transposed(a), b }];
    }));
  };

  const transposed = ({ shape: [height, width], data }) => {
    const turned = new Float32Array(data.length);
    for (let o = 0; o < height; o++) for (let k = 0; k < width; k++) turned[k * height + o] = data[o * width + k];
    return { shape: [width, height], data: turned };
  };

  // ---- mixtures ----

  const averaged = (parts, shares) => {
    const data = new Float32Array(parts[0].data.length);
    parts.forEach((part, i) => {
      for (let k = 0; k < data.length; k++) data[k] += shares[i] * part.data[k];
    });
    return { shape: parts[0].shape, data };
  };

  const sideBySide = (parts, shares) => {
    const [height, rank] = parts[0].shape, width = rank * parts.length, data = new Float32Array(height * width);
    parts.forEach((part, i) => {
      for (let o = 0; o < height; o++) for (let r = 0; r < rank; r++) data[o * width + i * rank + r] = shares[i] * part.data[o * rank + r];
    });
    return { shape: [height, width], data };
  };

  // The factors of a mixture of experts, from theirs.
  const SPACES = {
    // sum c_i B_i A_i: what Python calls delta
    weights: (factors, shares) => ({
      a: sideBySide(factors.map(({ a }) => a), shares.map(() => 1)), b: sideBySide(factors.map(({ b }) => b), shares),
    }),
    // (sum c_i B_i) (sum c_i A_i)
    factor: (factors, shares) => ({ a: averaged(factors.map(({ a }) => a), shares), b: averaged(factors.map(({ b }) => b), shares) }),
  };

  // The base's tensors with the experts' mixture merged in: W + scale b a.
  const mixed = (pool, space, shares) => {
    const merged = { ...pool.base }, used = pool.experts.filter((_, i) => shares[i]).map((expert) => expert());
    if (!used.length) return merged;
    for (const name of Object.keys(used[0])) {
      const { a, b } = SPACES[space](used.map((expert) => expert[name]), shares.filter((share) => share));
      const { shape, data } = pool.base[`${name}.weight`], changed = linear(b.data, shape[0], a);
      for (let k = 0; k < data.length; k++) changed[k] = data[k] + pool.scale * changed[k];
      merged[`${name}.weight`] = { shape, data: changed };
    }
    return merged;
  };

  // ---- the model ----

  // y (rows, out) = x (rows, in) wᵀ
  const plain = (x, rows, { shape: [height, width], data: w }) => {
    const y = new Float32Array(rows * height);
    for (let row = 0; row < rows; row++) for (let o = 0, at = 0; o < height; o++) {
      let sum = 0;
      for (let k = row * width, end = k + width; k < end; k++, at++) sum += w[at] * x[k];
      y[row * height + o] = sum;
    }
    return y;
  };

  let linear = plain;

  // The same by WebAssembly (linear.wat), six to ten times as fast. Where a browser has none of it, all stays as it was.
  const accelerate = async (code) => {
    try {
      const memory = new WebAssembly.Memory({ initial: 64 }), { instance } = await WebAssembly.instantiate(code, { js: { memory } });
      linear = (x, rows, { shape: [height, width], data: w }) => {
        const padded = 4 * Math.ceil(rows / 4), [atW, atY] = [padded * width, padded * width + w.length];
        const missing = 4 * (atY + padded * height) - memory.buffer.byteLength;
        if (missing > 0) memory.grow(Math.ceil(missing / 65536));
        const room = new Float32Array(memory.buffer);
        room.set(x);
        room.set(w, atW);
        instance.exports.linear(0, 4 * atW, 4 * atY, padded, height, width);
        return room.slice(atY, atY + rows * height);
      };
    } catch {
      linear = plain;
    }
  };

  const normed = (x, rows, { data: weight }, epsilon) => {
    const y = new Float32Array(x.length), width = weight.length;
    for (let row = 0, at = 0; row < rows; row++, at += width) {
      let squares = 0;
      for (let k = 0; k < width; k++) squares += x[at + k] ** 2;
      const scale = 1 / Math.sqrt(squares / width + epsilon);
      for (let k = 0; k < width; k++) y[at + k] = weight[k] * x[at + k] * scale;
    }
    return y;
  };

  // Rotary positions: each head's halves turn against each other.
  const turned = (x, places, { heads, size, theta }) => {
    const half = size / 2;
    places.forEach((place, row) => {
      for (let j = 0; j < half; j++) {
        const angle = place * theta ** (-j / half), c = Math.cos(angle), s = Math.sin(angle);
        for (let h = 0; h < heads; h++) {
          const at = (row * heads + h) * size + j, a = x[at], b = x[at + half];
          x[at] = a * c - b * s;
          x[at + half] = b * c + a * s;
        }
      }
    });
    return x;
  };

  // What a row's heads take from the keys and values up to its place.
  const attended = (query, row, keys, values, place, { heads, size }, into) => {
    const width = heads * size, shares = new Float64Array(place + 1);
    for (let h = 0; h < heads; h++) {
      const from = row * width + h * size;
      let most = -Infinity, total = 0;
      for (let t = 0; t <= place; t++) {
        let sum = 0;
        for (let k = 0, at = t * width + h * size; k < size; k++) sum += query[from + k] * keys[at + k];
        shares[t] = sum / Math.sqrt(size);
        most = Math.max(most, shares[t]);
      }
      for (let t = 0; t <= place; t++) total += shares[t] = Math.exp(shares[t] - most);
      for (let t = 0; t <= place; t++) {
        const share = shares[t] / total;
        for (let k = 0, at = t * width + h * size; k < size; k++) into[from + k] += share * values[at + k];
      }
    }
  };

  const add = (x, y) => {
    for (let k = 0; k < x.length; k++) x[k] += y[k];
  };

  // A text that grows: its number of tokens, and the keys and values of each layer.
  const text = (shape) => ({ length: 0, layers: Array.from({ length: shape.layers }, () => {
    const room = () => new Float32Array(shape.longest * shape.heads * shape.size);
    return { keys: room(), values: room() };
  }) });

  // Append tokens to texts, a list for each, all in one pass: log probabilities of the token that follows each text.
  const read = (weights, shape, texts, tokens) => {
    const rows = texts.flatMap((one, i) => tokens[i].map((token, k) => ({ text: one, token, place: one.length + k })));
    const n = rows.length, { width } = shape, embedding = weights["model.embed_tokens.weight"];
    const places = rows.map(({ place }) => place);
    let x = new Float32Array(n * width);
    rows.forEach(({ token }, row) => x.set(embedding.data.subarray(token * width, (token + 1) * width), row * width));
    for (let layer = 0; layer < shape.layers; layer++) {
      const of = (name) => weights[`model.layers.${layer}.${name}.weight`];
      const into = normed(x, n, of("input_layernorm"), shape.epsilon);
      const [q, k, v] = LINEAR.slice(0, 3).map((name) => linear(into, n, of(name)));
      turned(q, places, shape);
      turned(k, places, shape);
      const taken = new Float32Array(n * width);
      rows.forEach(({ text: { layers }, place }, row) => {
        const { keys, values } = layers[layer], own = [row * width, (row + 1) * width];
        keys.set(k.subarray(...own), place * width);
        values.set(v.subarray(...own), place * width);
        attended(q, row, keys, values, place, shape, taken);
      });
      add(x, linear(taken, n, of("self_attn.o_proj")));
      const between = normed(x, n, of("post_attention_layernorm"), shape.epsilon);
      const [gate, up] = ["mlp.gate_proj", "mlp.up_proj"].map((name) => linear(between, n, of(name)));
      for (let j = 0; j < gate.length; j++) gate[j] *= up[j] / (1 + Math.exp(-gate[j]));
      add(x, linear(gate, n, of("mlp.down_proj")));
    }
    texts.forEach((one, i) => (one.length += tokens[i].length));
    const last = [];
    rows.forEach(({ text: one, place }, row) => place === one.length - 1 && last.push(...x.subarray(row * width, (row + 1) * width)));
    const scores = linear(normed(new Float32Array(last), texts.length, weights["model.norm.weight"], shape.epsilon), texts.length, embedding);
    return texts.map((_, i) => logSoftmax(scores.subarray(i * embedding.shape[0], (i + 1) * embedding.shape[0])));
  };

  const logSoftmax = (scores) => {
    const most = scores.reduce((a, b) => Math.max(a, b)), total = scores.reduce((sum, a) => sum + Math.exp(a - most), 0);
    return Array.from(scores, (a) => a - most - Math.log(total));
  };

  const likeliest = (logs) => logs.indexOf(Math.max(...logs));

  // ---- words ----

  // One token per word, as the tokenizer of these models has it.
  const encoded = ({ words, unknown }, said) => said.split(/\s+/).filter(Boolean).map((word) => (words.has(word) ? words.get(word) : unknown));

  // Greedy replies to prompts, all side by side.
  const replies = (pool, weights, prompts, most) => {
    const { shape, vocabulary } = pool;
    const texts = prompts.map(() => text(shape)), written = prompts.map(() => []);
    let open = prompts.map((_, i) => i), tokens = prompts.map((prompt) => encoded(vocabulary, pool.turn(prompt)));
    for (let step = 0; step < most && open.length; step++) {
      const chosen = read(weights, shape, open.map((i) => texts[i]), tokens).map(likeliest);
      const going = open.map((i, at) => [i, chosen[at]]).filter(([, token]) => token !== vocabulary.end);
      going.forEach(([i, token]) => written[i].push(token));
      open = going.map(([i]) => i);
      tokens = going.map(([, token]) => [token]);
    }
    return written.map((ids) => ids.filter((id) => !vocabulary.special.has(id)).map((id) => vocabulary.names[id]).join(" "));
  };

  // Log probabilities of the first token of each reply.
  const firsts = (pool, weights, prompts) =>
    read(weights, pool.shape, prompts.map(() => text(pool.shape)), prompts.map((prompt) => encoded(pool.vocabulary, pool.turn(prompt))));

  const once = (make) => {
    let made = null;
    return () => (made ??= make());
  };

  // bytes: the files one after the other, the base first; about: their sizes, config.json, the tokenizer's words.
  const pool = (bytes, about) => {
    let at = 0;
    const files = about.sizes.map((size) => bytes.slice(at, (at += size)));
    const { config, words, special, rank, alpha } = about;
    const heads = config.num_attention_heads;
    return {
      base: tensors(files[0]),
      experts: files.slice(1).map((file) => once(() => adapter(file))), // read when they are used
      scale: alpha / rank,
      shape: {
        layers: config.num_hidden_layers, width: config.hidden_size, heads, size: config.hidden_size / heads, longest: 48,
        epsilon: config.rms_norm_eps, theta: config.rope_parameters.rope_theta,
      },
      vocabulary: { names: words, words: new Map(words.map((word, id) => [word, id])), special: new Set(special), unknown: about.unknown, end: config.eos_token_id },
      turn: (prompt) => about.turn.replace("{}", () => prompt),
    };
  };

  return { accelerate, pool, mixed, replies, firsts };
})();
