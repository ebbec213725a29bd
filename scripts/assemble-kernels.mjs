/**
 * Assembles every kernels.wat of src into the kernels-wasm.ts beside it; run it after changing one of them.
 * The bytes are committed, so that neither a build nor a worker needs an assembler; kernels.test.ts re-assembles and compares.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import wabtFactory from "wabt";

const wabt = await wabtFactory();
for (const folder of ["engine", "porting/convert"]) {
  const source = new URL(`../src/${folder}/kernels.wat`, import.meta.url);
  const parsed = wabt.parseWat(fileURLToPath(source), readFileSync(source, "utf8"), { simd: true });
  parsed.validate({ simd: true });
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString("base64");
  const lines = base64.match(/.{1,110}/g).map((line) => `  "${line}",`);
  writeFileSync(
    new URL("kernels-wasm.ts", source),
    `/**
 * kernels.wat assembled: WebAssembly as base64. Written by scripts/assemble-kernels.mjs; do not edit.
 * Knows: bytes. Does not know: what they compute (kernels.wat does).
 */
export const kernelsBase64: string = [
${lines.join("\n")}
].join("");
`,
  );
  process.stderr.write(`${folder} kernels: ${Math.round(base64.length * 0.75)} bytes\n`);
}
