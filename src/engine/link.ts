/**
 * One TCP link between two ranks: vectors in chunks, each with its checksum, sent again where one arrives damaged.
 * Knows: one socket after its handshake, what was heard when. Does not know: who else there is, what a vector means.
 * There is no deadline in here: a link is down when its socket says so; silence is told to whoever watches.
 */
import type { Socket } from "node:net";
import type { LinkReading } from "../spec/worker-event.ts";
import { type Bandwidth, bandwidth } from "./bandwidth.ts";
import type { Frame, FrameKind } from "./frame.ts";
import { chunkBytes, FrameReader, type FrameTaker } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";

/** Why a link is of no use any more; `left`: the other end said goodbye. */
export class LinkLost extends Error {
  override readonly name = "LinkLost";
  readonly peer: number;
  readonly why: "down" | "left";
  constructor(peer: number, why: "down" | "left", message: string) {
    super(message);
    this.peer = peer;
    this.why = why;
  }
}

/** Names one vector: a receiver takes no other. */
export interface VectorTag {
  readonly step: number;
  /** How often the step was computed anew. */
  readonly round: number;
}

export interface LinkOptions {
  readonly socket: Socket;
  readonly peer: number;
  readonly self: { readonly rank: number; readonly epoch: number };
  /** Bytes that came with the handshake and belong to what follows. */
  readonly rest: Buffer;
  readonly bytesPerSecond?: number | undefined;
  /** A chunk arrived damaged and is asked for again. */
  readonly onCorrupt: (told: { tag: VectorTag; chunk: number; again: number }) => void;
}

const resendsMax = 16;
const noTag: VectorTag = { step: 0, round: 0 };
const isSame = (a: VectorTag, b: VectorTag): boolean => a.step === b.step && a.round === b.round;

interface Waiting {
  readonly vector: Uint8Array;
  readonly tag: VectorTag;
  readonly resolve: (reading: LinkReading) => void;
  readonly reject: (error: Error) => void;
  /** performance.now() of the first chunk. */
  startedAt: number | undefined;
}

interface Receipt extends Waiting {
  readonly missing: Set<number>;
  resends: number;
}

export class Link {
  readonly peer: number;
  readonly #options: LinkOptions;
  readonly #socket: Socket;
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  #lost: LinkLost | undefined;
  #heardAt = performance.now();
  #receipt: Receipt | undefined;
  #dispatch: Waiting | undefined;
  #readLimit: Bandwidth | undefined;

  constructor(options: LinkOptions) {
    const { socket, peer } = options;
    this.#options = options;
    this.peer = peer;
    this.#socket = socket;
    this.#writer = new FrameWriter(socket, options.bytesPerSecond);
    const taker: FrameTaker = {
      place: (frame) => this.#place(frame),
      take: (frame, isIntact) => this.#take(frame, isIntact),
      malformed: () => this.#lose("down", `rank ${peer}: its bytes make no frame`),
    };
    this.#reader = new FrameReader(taker);
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#hear(bytes));
    socket.on("error", (error) => this.#lose("down", `rank ${peer}: ${error.message}`));
    socket.on("close", () => this.#lose("down", `rank ${peer} closed the link`));
    // The handshake left the socket paused.
    if (options.rest.length > 0) this.#hear(options.rest);
    this.#resume();
  }

  /** performance.now() of the last bytes heard. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** Resolves when the other end has all of it, undamaged; `vector` must not change before. Rejects with LinkLost. */
  send(vector: Uint8Array, tag: VectorTag): Promise<LinkReading> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#dispatch = { vector, tag, resolve, reject, startedAt: performance.now() };
      for (let index = 0; index * chunkBytes < vector.length; index++) this.#sendChunk(vector, tag, index);
    });
  }

  /** Resolves when `into` is filled; may be called before the other end sends. Rejects with LinkLost. */
  receive(into: Uint8Array, tag: VectorTag): Promise<LinkReading> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    const missing = new Set(Array.from({ length: Math.ceil(into.length / chunkBytes) }, (_, index) => index));
    return new Promise((resolve, reject) => {
      this.#receipt = { vector: into, tag, resolve, reject, startedAt: undefined, missing, resends: 0 };
      this.#reader.push();
      this.#resume();
    });
  }

  /** Tells the other end that this one lives, unless it is told more already. */
  alive(): void {
    if (this.#writer.isIdle) this.#write("alive", noTag);
  }

  /** What this end still carries, both ways; undefined ends the limit. */
  limit(bytesPerSecond: number | undefined): void {
    this.#writer.limit(bytesPerSecond ?? this.#options.bytesPerSecond);
    this.#readLimit = bytesPerSecond === undefined ? undefined : bandwidth(bytesPerSecond);
  }

  /** The next chunk leaves with one bit flipped after its checksum was taken. */
  corruptNextChunk(bit: number): void {
    this.#writer.corruptNext(bit);
  }

  /** Cuts the link without a word. */
  destroy(): void {
    this.#socket.resetAndDestroy();
    this.#lose("down", `rank ${this.peer}: this end cut the link`);
  }

  /** Says goodbye and closes; waits for nobody longer than half a second. */
  async close(): Promise<void> {
    if (this.#lost !== undefined) return;
    this.#write("bye", noTag);
    this.#lost = new LinkLost(this.peer, "left", "this end left");
    await new Promise<void>((resolve) => {
      this.#socket.once("close", () => resolve());
      setTimeout(() => this.#socket.end(), 0);
      setTimeout(() => this.#socket.destroy(), 500).unref();
      this.#socket.resume();
    });
  }

  #hear(bytes: Buffer): void {
    this.#heardAt = performance.now();
    if (this.#lost !== undefined) return;
    this.#reader.push(bytes);
    const seconds = this.#readLimit?.take(bytes.length, performance.now() / 1000) ?? 0;
    if (seconds > 0.001 || this.#reader.isHeld) this.#socket.pause();
    if (seconds > 0.001) setTimeout(() => this.#resume(), seconds * 1000);
  }

  #resume(): void {
    if (!this.#reader.isHeld) this.#socket.resume();
  }

  #place(frame: Frame): Uint8Array | undefined | "malformed" {
    if (this.#receipt === undefined) return undefined;
    const { tag, vector, missing } = this.#receipt;
    // A chunk that was sent again after all of its vector had come through: read and dropped.
    if (frame.step < tag.step || (frame.step === tag.step && frame.round < tag.round)) {
      return new Uint8Array(frame.payloadBytes);
    }
    if (!isSame(frame, tag)) return undefined;
    this.#receipt.startedAt ??= performance.now();
    const from = frame.index * chunkBytes;
    const target = vector.subarray(from, from + frame.payloadBytes);
    const isWhole = target.length === Math.min(chunkBytes, vector.length - from);
    return isWhole && target.length === frame.payloadBytes && missing.has(frame.index) ? target : "malformed";
  }

  #take(frame: Frame, isIntact: boolean): void {
    const { self } = this.#options;
    if (frame.epoch !== self.epoch || frame.rank !== this.peer) {
      this.#lose("down", `rank ${this.peer}: a frame of rank ${frame.rank}, epoch ${frame.epoch} came over its link`);
    } else if (frame.kind === "chunk") {
      if (this.#receipt !== undefined && isSame(frame, this.#receipt.tag)) this.#takeChunk(frame, isIntact);
    } else if (frame.kind === "bye") this.#lose("left", `rank ${this.peer} left`);
    else if (this.#dispatch !== undefined && isSame(frame, this.#dispatch.tag)) this.#takeAnswer(frame, this.#dispatch);
  }

  #takeChunk(frame: Frame, isIntact: boolean): void {
    const receipt = this.#receipt!;
    const { tag, missing, vector } = receipt;
    if (!isIntact) {
      receipt.resends++;
      this.#options.onCorrupt({ tag, chunk: frame.index, again: receipt.resends });
      if (receipt.resends <= resendsMax) this.#write("resend", tag, frame.index);
      else this.#lose("down", `rank ${this.peer}: ${receipt.resends} chunks of one vector came damaged`);
      return;
    }
    missing.delete(frame.index);
    if (missing.size > 0) return;
    this.#receipt = undefined;
    this.#write("received", tag);
    const now = performance.now();
    receipt.resolve({ peer: this.peer, bytes: vector.length, seconds: (now - (receipt.startedAt ?? now)) / 1000 });
  }

  #takeAnswer(frame: Frame, dispatch: Waiting): void {
    const { vector, tag, startedAt, resolve } = dispatch;
    if (frame.kind === "resend" && frame.index * chunkBytes < vector.length) this.#sendChunk(vector, tag, frame.index);
    if (frame.kind !== "received") return;
    this.#dispatch = undefined;
    const seconds = (performance.now() - (startedAt ?? 0)) / 1000;
    resolve({ peer: this.peer, bytes: vector.length, seconds });
  }

  #sendChunk(vector: Uint8Array, tag: VectorTag, index: number): void {
    this.#write("chunk", tag, index, vector.subarray(index * chunkBytes, (index + 1) * chunkBytes));
  }

  #write(kind: FrameKind, tag: VectorTag, index = 0, payload?: Uint8Array): void {
    const { rank, epoch } = this.#options.self;
    // A socket that is gone says so by its `close`; there is nothing else to fail.
    void this.#writer.write({ kind, epoch, rank, step: tag.step, round: tag.round, index }, payload);
  }

  #lose(why: "down" | "left", message: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = new LinkLost(this.peer, why, message);
    this.#socket.destroy();
    this.#receipt?.reject(this.#lost);
    this.#dispatch?.reject(this.#lost);
  }
}
