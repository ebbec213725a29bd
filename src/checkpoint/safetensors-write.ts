/**
 * Writes a safetensors file as a stream: no more than one piece of one tensor is in memory.
 * Knows: the header and the order of the bytes. Does not know: where they go (publish.ts) or come from.
 */
import { type TensorInfo, tensorBytes } from "./dtype.ts";
import { encodeHeader } from "./safetensors-header.ts";

/** What transformers wants to read in a file's metadata. */
export const safetensorsMetadata = { format: "pt" } as const;

/**
 * A file's bytes in order: header, then each tensor's pieces as `piecesOf` gives them, asked for in the header's order. A piece may
 * be overwritten once the next is asked for. RangeError when a tensor's pieces are not as many bytes as its shape needs.
 */
export function* safetensorsPieces(
  tensors: readonly TensorInfo[],
  piecesOf: (tensor: TensorInfo) => Iterable<Uint8Array>,
  metadata: Readonly<Record<string, string>> = safetensorsMetadata,
): Generator<Uint8Array> {
  const { bytes, header } = encodeHeader(tensors, metadata);
  yield bytes;
  for (const tensor of header.tensors) {
    let given = 0;
    for (const piece of piecesOf(tensor)) {
      given += piece.length;
      yield piece;
    }
    const needed = tensorBytes(tensor.dtype, tensor.shape);
    if (given !== needed) throw new RangeError(`${tensor.name}: ${given} bytes given, ${needed} needed`);
  }
}
