/**
 * How the ranks of one attempt find each other: rank 0 listens on MASTER_PORT, the others connect and say who they are.
 * Knows: the handshake. Does not know: what is exchanged afterwards.
 * Anything may connect to a port: who does not say the right hello, with this attempt's secret, is hung up on and changes nothing.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, Socket } from "node:net";
import { decodeHeader, encodeHeader, type Frame, type FrameKind, headerBytes } from "./frame.ts";
import { Link, type LinkOptions } from "./link.ts";

export interface Meeting {
  readonly host: string;
  readonly port: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly epoch: number;
  /** What all ranks of the attempt know and nobody else does; `secretOf` their worker spec. */
  readonly secret: Buffer;
  readonly bytesPerSecond?: number | undefined;
  readonly onCorrupt: (peer: number, told: Parameters<LinkOptions["onCorrupt"]>[0]) => void;
  readonly signal: AbortSignal;
}

/** Rank 0 already serves a newer attempt: this rank is a left-over of an older one. */
export class OlderEpoch extends Error {
  override readonly name = "OlderEpoch";
}
/** Rank 0 cannot have its port: another process took it. */
export class PortTaken extends Error {
  override readonly name = "PortTaken";
}

const secretBytes = 32;
/** How long a stranger may stay; a rank waits longer, for rank 0 may be compiling. */
const helloMilliseconds = 3000;
const welcomeMilliseconds = 30_000;
const retryMilliseconds = 20;
const strangersMax = 64;
const refusals = { olderEpoch: 1, newerEpoch: 2, stranger: 3, taken: 4 } as const;

export function secretOf(spec: string): Buffer {
  return createHash("sha256").update(spec).digest();
}

const frame = (meeting: Meeting, kind: FrameKind, index = 0, payloadBytes = 0): Buffer =>
  encodeHeader({
    ...{ kind, epoch: meeting.epoch, rank: meeting.rank, step: 0, round: 0, index, payloadBytes, payloadCrc: 0 },
  });

/** The links of this rank: to every other from rank 0, to rank 0 from every other. Rejects when the signal aborts. */
export function meet(meeting: Meeting): Promise<readonly Link[]> {
  if (meeting.worldSize === 1) return Promise.resolve([]);
  return meeting.rank === 0 ? listen(meeting) : connect(meeting).then((link) => [link]);
}

const linkOf = (meeting: Meeting, socket: Socket, peer: number, rest: Buffer): Link =>
  new Link({
    ...{ socket, peer, rest, self: { rank: meeting.rank, epoch: meeting.epoch } },
    bytesPerSecond: meeting.bytesPerSecond,
    onCorrupt: (told) => meeting.onCorrupt(peer, told),
  });

async function listen(meeting: Meeting): Promise<readonly Link[]> {
  const { host, port, worldSize, signal } = meeting;
  const links = new Map<number, Link>();
  const strangers = new Set<Socket>();
  const server = createServer();
  try {
    await bind(server, { host, port, signal });
    return await new Promise<readonly Link[]>((resolve, reject) => {
      const aborted = (): void => reject(signal.reason);
      if (signal.aborted) aborted();
      signal.addEventListener("abort", aborted, { once: true });
      server.on("error", reject);
      server.on("connection", (socket) => {
        // A stranger's reset must not end the process, and a thousand strangers must not fill it.
        socket.on("error", () => socket.destroy());
        if (strangers.size >= strangersMax + worldSize) socket.destroy();
        strangers.add(socket);
        socket.once("close", () => strangers.delete(socket));
        void greet(meeting, socket, links).then((joined) => {
          if (joined) strangers.delete(socket);
          if (links.size === worldSize - 1) resolve([...links.values()].sort((a, b) => a.peer - b.peer));
        });
      });
    });
  } finally {
    server.close();
    for (const socket of strangers) socket.destroy();
  }
}

async function bind(server: Server, at: { host: string; port: number; signal: AbortSignal }): Promise<void> {
  server.listen(at.port, at.host);
  try {
    await once(server, "listening", { signal: at.signal });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
      throw new PortTaken(`port ${at.port} of ${at.host} is taken by another process`);
    }
    throw error;
  }
}

/** True where a rank joined. */
async function greet(meeting: Meeting, socket: Socket, links: Map<number, Link>): Promise<boolean> {
  const hello = await readHello(socket, headerBytes + secretBytes, helloMilliseconds);
  const header = hello && decodeHeader(hello.subarray(0, headerBytes));
  if (header?.kind !== "hello" || header.payloadBytes !== secretBytes) {
    socket.destroy();
    return false;
  }
  const refusal = refusalOf(meeting, header, hello!.subarray(headerBytes, headerBytes + secretBytes), links);
  if (refusal !== undefined) {
    socket.end(frame(meeting, "refuse", refusal));
    setTimeout(() => socket.destroy(), 500).unref();
    return false;
  }
  const { rank } = header;
  socket.write(frame(meeting, "welcome"));
  const link = linkOf(meeting, socket, rank, hello!.subarray(headerBytes + secretBytes));
  links.set(rank, link);
  // It may have given up before it was greeted; then its next connection counts.
  socket.once("close", () => links.get(rank) === link && links.delete(rank));
  return true;
}

function refusalOf(meeting: Meeting, hello: Frame, secret: Buffer, links: Map<number, Link>): number | undefined {
  if (hello.epoch < meeting.epoch) return refusals.olderEpoch;
  if (hello.epoch > meeting.epoch) return refusals.newerEpoch;
  if (!timingSafeEqual(secret, meeting.secret)) return refusals.stranger;
  const isRank = hello.rank > 0 && hello.rank < meeting.worldSize;
  return isRank && !links.has(hello.rank) ? undefined : refusals.taken;
}

/** The first `bytes` bytes or more; undefined where they do not come in time. Afterwards the socket is paused. */
function readHello(socket: Socket, bytes: number, milliseconds: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    let heard = Buffer.alloc(0);
    const settle = (result: Buffer | undefined): void => {
      clearTimeout(timer);
      socket.off("data", hear);
      socket.off("close", end);
      socket.pause();
      resolve(result);
    };
    const hear = (piece: Buffer): void => {
      heard = Buffer.concat([heard, piece]);
      // What is no hello is seen from its first bytes; nobody fills the memory here.
      if (heard.length >= bytes) settle(heard);
    };
    const end = (): void => settle(undefined);
    const timer = setTimeout(end, milliseconds);
    socket.on("data", hear);
    socket.on("close", end);
  });
}

async function connect(meeting: Meeting): Promise<Link> {
  for (;;) {
    meeting.signal.throwIfAborted();
    const link = await tryConnect(meeting);
    if (link !== undefined) return link;
    await new Promise((resolve) => setTimeout(resolve, retryMilliseconds));
  }
}

/** Undefined where rank 0 does not listen yet, or somebody else does. */
async function tryConnect(meeting: Meeting): Promise<Link | undefined> {
  const socket = new Socket();
  socket.on("error", () => socket.destroy());
  socket.connect(meeting.port, meeting.host, () => {
    socket.write(Buffer.concat([frame(meeting, "hello", 0, secretBytes), meeting.secret]));
  });
  const answer = await readHello(socket, headerBytes, welcomeMilliseconds);
  const header = answer && decodeHeader(answer.subarray(0, headerBytes));
  if (header?.kind === "welcome" && header.epoch === meeting.epoch) {
    return linkOf(meeting, socket, 0, answer!.subarray(headerBytes));
  }
  socket.destroy();
  if (header?.kind === "refuse" && header.index === refusals.olderEpoch) {
    throw new OlderEpoch(`rank 0 serves epoch ${header.epoch}, this is epoch ${meeting.epoch}`);
  }
  return undefined;
}
