/**
 * Assembles src/engine/kernels.wat into src/engine/kernels-wasm.ts; run it after changing the former.
 * The bytes are committed, so that neither a build nor a worker needs an assembler; kernels.test.ts re-assembles and compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import wabtFactory from "wabt";

const source = new URL("../src/engine/kernels.wat", import.meta.url);
const target = new URL("../src/engine/kernels-wasm.ts", import.meta.url);

const wabt = await wabtFactory();
const parsed = wabt.parseWat(fileURLToPath(source), readFileSync(source, "utf8"), { simd: true });
parsed.validate({ simd: true });
const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
const lines = base64.match(/.{1,110}/g).map((line) => `  "${line}",`);
writeFileSync(
  target,
  `/**
 * kernels.wat assembled: WebAssembly as base64. Written by scripts/assemble-kernels.mjs; do not edit.
 * Knows: bytes. Does not know: what they compute (kernels.wat does).
 */
export const kernelsBase64: string = [
${lines.join("\n")}
].join("");
`,
);
process.stderr.write(`kernels: ${Math.round(base64.length * 0.75)} bytes\n`);
