/**
 * One hash for a set of weights, whatever file and order they are kept in.
 * Knows: tensors. Does not know: files.
 */
import { createHash } from "node:crypto";
import type { Tensor, TensorInfo } from "./dtype.ts";

/**
 * SHA-256 (hex) over the tensors sorted by name (UTF-16 code units): for each the JSON line `["name","dtype",[shape]]`, a
 * line feed and the little-endian bytes.
 */
export function weightsSha256(tensors: Iterable<Tensor>): string {
  const given = [...tensors];
  const bytes = new Map(given.map((tensor) => [tensor.name, tensor.bytes]));
  return streamedWeightsSha256(given, ({ name }) => [bytes.get(name) ?? new Uint8Array()]);
}

/** The same for tensors that are read piece by piece. */
export function streamedWeightsSha256(
  tensors: readonly TensorInfo[],
  piecesOf: (tensor: TensorInfo) => Iterable<Uint8Array>,
): string {
  const hash = createHash("sha256");
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  for (const tensor of sorted) {
    hash.update(`${JSON.stringify([tensor.name, tensor.dtype, tensor.shape])}\n`);
    for (const piece of piecesOf(tensor)) hash.update(piece);
  }
  return hash.digest("hex");
}
