/**
 * Measures the memory that `compare` takes for two traces of many gigabytes in sparse .safetensors files.
 * Knows: the built package, resourceUsage. Does not know: limits of a comparison. The traces hold zeros; nobody's model made them.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { encodeOrderedHeader } from "../dist/checkpoint/safetensors-header.js";
import { compare } from "../dist/porting/compare.js";
import { provenance, writeBlock } from "./block.mjs";

const { values: given } = parseArgs({
  options: { gigabytes: { type: "string", default: "4.3" }, write: { type: "boolean" } },
});
const gigabytes = Number(given.gigabytes);
if (!(gigabytes > 0)) throw new Error("--gigabytes: must be a number above 0");
const root = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));

/** Layers of 4,096 tokens, 7,168 wide, and logits of 32,000 tokens, as bfloat16 zeros. */
function sparseTrace(name) {
  const layers = Math.max(1, Math.round((gigabytes * 1e9) / (4096 * 7168 * 2)));
  const infos = Array.from({ length: layers }, (_, layer) => ({
    name: `model.layers.${layer}`,
    dtype: "BF16",
    shape: [4096, 7168],
  }));
  const { bytes, header } = encodeOrderedHeader([...infos, { name: "logits", dtype: "BF16", shape: [256, 32_000] }]);
  const file = join(root, name);
  const fd = openSync(file, "wx");
  writeSync(fd, bytes);
  const size = bytes.length + header.tensors.at(-1).end;
  ftruncateSync(fd, size);
  closeSync(fd);
  return { file, size, layers };
}

try {
  const [a, b] = [sparseTrace("a.safetensors"), sparseTrace("b.safetensors")];
  const report = await compare({ a: a.file, b: b.file, answerTokens: 0 });
  if (report.verdict !== "same") throw new Error(`zeros differ from zeros: ${report.reasons.join("; ")}`);
  const whole = process.resourceUsage().maxRSS / 1024;
  const text = `## Memory of a comparison

Two traces of ${(a.size / 1e9).toFixed(2)} GB each (${a.layers} layers of 4,096 tokens × 7,168, bfloat16 zeros in sparse files) are compared with a peak
resident memory of ${Math.round(whole)} MiB, Node's own included.

${provenance()}
`;
  if (given.write) writeBlock("docs/performance.md", "npm run bench -- parity-memory --write", text);
  else process.stdout.write(text);
} finally {
  rmSync(root, { recursive: true, force: true });
}
