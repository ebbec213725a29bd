/**
 * What travels between two ranks: a fixed header with checksums of itself and of the bytes that follow.
 * Knows: the header's fields. Does not know: sockets, gradients.
 */
import { crc32 } from "node:zlib";

export const frameKinds = ["hello", "welcome", "refuse", "chunk", "resend", "received", "alive", "bye"] as const;
export type FrameKind = (typeof frameKinds)[number];

export interface Frame {
  readonly kind: FrameKind;
  readonly epoch: number;
  /** Of the sender. */
  readonly rank: number;
  readonly step: number;
  /** How often the step was computed anew. */
  readonly round: number;
  /** `chunk`, `resend`: which; `refuse`: why (refusals). */
  readonly index: number;
  readonly payloadBytes: number;
  /** CRC-32 of the payload (zlib), 0 where there is none. */
  readonly payloadCrc: number;
}

export const headerBytes = 40;
const magic = 0x44474c4b;
const version = 1;

export function encodeHeader(frame: Frame): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(magic, 0);
  header.writeUInt8(version, 4);
  header.writeUInt8(frameKinds.indexOf(frame.kind) + 1, 5);
  header.writeUInt32BE(frame.epoch, 8);
  header.writeUInt32BE(frame.rank, 12);
  header.writeUInt32BE(frame.step, 16);
  header.writeUInt32BE(frame.round, 20);
  header.writeUInt32BE(frame.index, 24);
  header.writeUInt32BE(frame.payloadBytes, 28);
  header.writeUInt32BE(frame.payloadCrc, 32);
  header.writeUInt32BE(crc32(header.subarray(0, 36)), 36);
  return header;
}

/** The header in the first `headerBytes` of `bytes`; undefined where they are none of this protocol and version, or damaged. */
export function decodeHeader(bytes: Buffer): Frame | undefined {
  if (bytes.length < headerBytes || bytes.readUInt32BE(0) !== magic || bytes.readUInt8(4) !== version) return undefined;
  if (bytes.readUInt32BE(36) !== crc32(bytes.subarray(0, 36))) return undefined;
  const kind = frameKinds[bytes.readUInt8(5) - 1];
  if (kind === undefined) return undefined;
  return {
    kind,
    epoch: bytes.readUInt32BE(8),
    rank: bytes.readUInt32BE(12),
    step: bytes.readUInt32BE(16),
    round: bytes.readUInt32BE(20),
    index: bytes.readUInt32BE(24),
    payloadBytes: bytes.readUInt32BE(28),
    payloadCrc: bytes.readUInt32BE(32),
  };
}
