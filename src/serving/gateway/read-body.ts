/**
 * Reads a request's body up to a limit.
 * Knows: chunks, announced and real lengths, clients that stop. Does not know: what is in it.
 */
import type { IncomingMessage } from "node:http";
import { GatewayError } from "./gateway-error.ts";

/** GatewayError 413 above `bytesMax`, 415 for a type that is not JSON. Rejects when the client stops in the middle. */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // A page in a browser may send text/plain anywhere without asking; JSON it may not.
    if (!/^application\/json\b/i.test(request.headers["content-type"] ?? "")) {
      return reject(new GatewayError(415, "send content-type: application/json"));
    }
    const tooLarge = (): void => reject(new GatewayError(413, `the request body has more than ${bytesMax} bytes`));
    if (Number(request.headers["content-length"] ?? 0) > bytesMax) return tooLarge();
    const parts: Buffer[] = [];
    let bytes = 0;
    request.on("data", (part: Buffer) => {
      bytes += part.length;
      if (bytes <= bytesMax) parts.push(part);
      else {
        request.pause();
        tooLarge();
      }
    });
    request.on("end", () => {
      const [first] = parts;
      resolve(parts.length === 1 && first ? first : Buffer.concat(parts, bytes));
    });
    request.on("error", reject);
    request.on("close", () => reject(new Error("the client went away before its request was complete")));
  });
}
