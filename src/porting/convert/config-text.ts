/**
 * Rewrites a `config.json` for a conversion without touching what it does not change.
 * Knows: which keys say how weights are stored. Does not know: what the others mean; they stay as they were written, 1e-06 too.
 */
import type { Member } from "./strict-json.ts";

/** The configuration of the converted model: bfloat16, and no quantization_config. */
export function convertedConfig(members: readonly Member[]): Uint8Array {
  const kept = members
    .filter(({ key }) => key !== "quantization_config")
    .map(({ key, text }) => ({ key, text: key === "torch_dtype" || key === "dtype" ? '"bfloat16"' : text }));
  // Newer releases write `dtype` alone; vLLM and MindIE read either.
  if (!kept.some(({ key }) => key === "torch_dtype")) kept.push({ key: "torch_dtype", text: '"bfloat16"' });
  const lines = kept.map(({ key, text }) => `  ${JSON.stringify(key)}: ${text}`);
  return new TextEncoder().encode(`{\n${lines.join(",\n")}\n}\n`);
}
