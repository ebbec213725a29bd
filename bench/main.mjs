/** `npm run bench -- NAME`: runs bench/NAME.mjs, which measures something and writes its block of figures into the docs. */
import { existsSync, readdirSync } from "node:fs";

const [name, ...rest] = process.argv.slice(2);
const here = new URL(".", import.meta.url);
const shared = [
  "main.mjs",
  "block.mjs",
  "engine-torch.mjs",
  "parity-models.mjs",
  "port-full.mjs",
  "gateway-load.mjs",
  "gateway-mock.mjs",
];
const names = readdirSync(here)
  .filter((file) => file.endsWith(".mjs") && !shared.includes(file))
  .map((file) => file.slice(0, -".mjs".length));
if (!name || !existsSync(new URL(`${name}.mjs`, here)) || shared.includes(`${name}.mjs`)) {
  process.stderr.write(`bench: give one of: ${names.join(", ")}; e.g. npm run bench -- ${names[0]}\n`);
  process.exitCode = 2;
} else {
  process.argv.splice(2, process.argv.length, ...rest);
  await import(new URL(`${name}.mjs`, here));
}
