/** Checks the header's round trip, and that no bytes whatever break the reader. */
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeHeader, encodeHeader, type Frame, frameKinds, headerBytes } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";

const uint32 = fc.nat({ max: 0xffffffff });
const frames: fc.Arbitrary<Frame> = fc.record({
  ...{ kind: fc.constantFrom(...frameKinds), epoch: uint32, rank: uint32, step: uint32, round: uint32 },
  ...{ index: uint32, payloadBytes: uint32, payloadCrc: uint32 },
});

test("a header decodes to what was encoded, and not at all with any bit flipped", () => {
  fc.assert(
    fc.property(frames, fc.nat({ max: headerBytes * 8 - 1 }), (frame, bit) => {
      const bytes = encodeHeader(frame);
      expect(decodeHeader(bytes)).toEqual(frame);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      // Bytes 6 and 7 are spare, but the checksum covers them.
      expect(decodeHeader(bytes)).toBeUndefined();
    }),
    { seed: 1, numRuns: 300 },
  );
});

function read(pieces: readonly Buffer[]) {
  const taken: { kind: string; payload: Buffer; isIntact: boolean }[] = [];
  let malformed = 0;
  let target = Buffer.alloc(0);
  const reader = new FrameReader({
    place: (frame) => {
      target = Buffer.alloc(frame.payloadBytes);
      return target;
    },
    take: (frame, isIntact) => {
      taken.push({ kind: frame.kind, payload: frame.kind === "chunk" ? target : Buffer.alloc(0), isIntact });
    },
    malformed: () => malformed++,
  });
  for (const piece of pieces) if (malformed === 0) reader.push(piece);
  return { taken, malformed };
}

test("frames come out the same however the stream is cut", () => {
  const payload = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(
      fc.array(payload, { maxLength: 6 }),
      fc.array(fc.nat({ max: 200 }), { maxLength: 30 }),
      (payloads, cuts) => {
        const head = { epoch: 1, rank: 1, step: 1, round: 0, index: 0 };
        const stream = Buffer.concat(
          payloads.flatMap((bytes) => [
            encodeHeader({ ...head, kind: "alive", payloadBytes: 0, payloadCrc: 0 }),
            encodeHeader({ ...head, kind: "chunk", payloadBytes: bytes.length, payloadCrc: crc32(bytes) }),
            Buffer.from(bytes),
          ]),
        );
        const pieces: Buffer[] = [];
        let from = 0;
        for (const cut of cuts) {
          pieces.push(stream.subarray(from, from + cut));
          from += cut;
        }
        const { taken, malformed } = read([...pieces, stream.subarray(from)]);
        expect(malformed).toBe(0);
        const chunks = taken.filter(({ kind }) => kind === "chunk");
        expect(chunks.map((chunk) => [...chunk.payload])).toEqual(payloads.map((bytes) => [...bytes]));
        expect(chunks.every(({ isIntact }) => isIntact)).toBe(true);
      },
    ),
    { seed: 2, numRuns: 200 },
  );
});

test("arbitrary bytes are malformed or wait for more, and never throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const { taken, malformed } = read([Buffer.from(bytes)]);
      expect(taken).toEqual([]);
      expect(malformed).toBe(bytes.length >= headerBytes ? 1 : 0);
    }),
    { seed: 3 },
  );
});
