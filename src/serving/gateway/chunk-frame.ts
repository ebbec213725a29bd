/**
 * Frames bytes as one chunk of HTTP/1.1 (RFC 9112, section 7.1) in one buffer.
 * Knows: the chunked coding. Does not know: sockets, what the bytes are.
 */

const lineEnd = "\r\n";
const lastChunk = "0\r\n\r\n";

/** One chunk of all `parts` together, none when they are empty; with `last`, the end of the body behind it. */
export function framed(parts: readonly Uint8Array[], { last }: { last: boolean }): Buffer {
  let length = 0;
  for (const part of parts) length += part.length;
  if (length === 0) return Buffer.from(last ? lastChunk : "", "latin1");
  const head = length.toString(16) + lineEnd;
  const tail = last ? lineEnd + lastChunk : lineEnd;
  const frame = Buffer.allocUnsafe(head.length + length + tail.length);
  let at = frame.write(head, 0, "latin1");
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  frame.write(tail, at, "latin1");
  return frame;
}
