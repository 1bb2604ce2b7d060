// Runs in node: argv are the JSON with what is asked, and where the answer goes. The scripts of the page stand before it.
const fs = require("fs");
const { weights, kernel, about, accelerated, run } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const bytes = (path) => {
  const file = fs.readFileSync(path);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
};
(async () => {
  if (accelerated) await Llama.accelerate(bytes(kernel));
  const asked = eval(run), models = asked.length ? [Llama.pool(bytes(weights), about)] : []; // only where they are named
  fs.writeFileSync(process.argv[3], JSON.stringify(await asked(...models)));
})();
