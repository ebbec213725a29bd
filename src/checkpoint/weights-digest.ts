/**
 * One hash for a set of weights, whatever file and order they are kept in.
 * Knows: tensors. Does not know: files.
 */
import { createHash } from "node:crypto";
import type { Tensor } from "./dtype.ts";

/**
 * SHA-256 (hex) over the tensors sorted by name (UTF-16 code units): for each the JSON line `["name","dtype",[shape]]`, a
 * line feed and the little-endian bytes.
 */
export function weightsSha256(tensors: Iterable<Tensor>): string {
  const hash = createHash("sha256");
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const { name, dtype, shape, bytes } of sorted) {
    hash.update(`${JSON.stringify([name, dtype, shape])}\n`).update(bytes);
  }
  return hash.digest("hex");
}
