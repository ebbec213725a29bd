/** Real sockets on the loopback: vectors arrive whole, damage is mended in place, strangers change nothing. */
import { createServer, type Server, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { random } from "../spec/random.ts";
import { decodeHeader, encodeHeader, headerBytes } from "./frame.ts";
import { chunkBytes } from "./frame-reader.ts";
import { type Link, LinkLost } from "./link.ts";
import { type Meeting, meet, OlderEpoch, PortTaken, secretOf } from "./rendezvous.ts";

const host = "127.0.0.1";
let open: Link[] = [];
let abort = new AbortController();
const corrupt: { rank: number; peer: number; chunk: number }[] = [];

afterEach(async () => {
  abort.abort(new Error("test ended"));
  await Promise.all(open.map((link) => link.close()));
  open = [];
  abort = new AbortController();
  corrupt.length = 0;
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server: Server = createServer().listen(0, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
const meeting = (port: number, rank: number, worldSize: number, more: Partial<Meeting> = {}): Meeting => ({
  ...{ host, port, rank, worldSize, epoch: 3, secret: secretOf("spec"), signal: abort.signal },
  onCorrupt: (peer, { chunk }) => corrupt.push({ rank, peer, chunk }),
  ...more,
});
async function join(worldSize: number, more: Partial<Meeting> = {}): Promise<(readonly Link[])[]> {
  const port = await freePort();
  const ranks = await Promise.all(
    Array.from({ length: worldSize }, (_, rank) => meet(meeting(port, rank, worldSize, more))),
  );
  open.push(...ranks.flat());
  return ranks;
}
function vector(bytes: number, seed: number): Uint8Array {
  const draw = random(seed, "vector");
  return Uint8Array.from({ length: bytes }, () => draw.below(256));
}
const tag = { step: 1, round: 0 };

test.each([4, chunkBytes, chunkBytes + 4, 5 * chunkBytes - 4])("%i bytes arrive as they were sent", async (bytes) => {
  const [[toOne], [toZero]] = await join(2);
  const sent = vector(bytes, bytes);
  const into = new Uint8Array(bytes);
  const received = toOne!.receive(into, tag);
  const reading = await toZero!.send(sent, tag);
  await received;
  expect(Buffer.compare(into, sent)).toBe(0);
  expect(reading).toMatchObject({ peer: 0, bytes });
});

test("what comes before it is wanted waits, also over several steps and in both directions", async () => {
  const [[toOne], [toZero]] = await join(2);
  const bytes = 3 * chunkBytes;
  for (const step of [1, 2, 3]) {
    const up = toZero!.send(vector(bytes, step), { step, round: 0 });
    await new Promise((resolve) => setImmediate(resolve));
    const into = new Uint8Array(bytes);
    await Promise.all([up, toOne!.receive(into, { step, round: 0 })]);
    expect(Buffer.compare(into, vector(bytes, step))).toBe(0);
    const back = new Uint8Array(bytes);
    await Promise.all([toOne!.send(into, { step, round: 0 }), toZero!.receive(back, { step, round: 0 })]);
    expect(Buffer.compare(back, into)).toBe(0);
  }
});

test("a flipped bit is found by the checksum, named, and the chunk is sent again", async () => {
  const [[toOne], [toZero]] = await join(2);
  const sent = vector(3 * chunkBytes, 9);
  const into = new Uint8Array(sent.length);
  toZero!.corruptNextChunk(12_345);
  await Promise.all([toZero!.send(sent, tag), toOne!.receive(into, tag)]);
  expect(corrupt).toEqual([{ rank: 0, peer: 1, chunk: 0 }]);
  expect(Buffer.compare(into, sent)).toBe(0);
});

test("a cut link is noticed by both ends, each naming the other", async () => {
  const [[toOne], [toZero]] = await join(2);
  const both = Promise.allSettled([toOne!.receive(new Uint8Array(8), tag), toZero!.receive(new Uint8Array(8), tag)]);
  toZero!.destroy();
  expect((await both).map((result) => result.status === "rejected" && result.reason)).toMatchObject([
    { name: "LinkLost", peer: 1, why: "down" },
    { name: "LinkLost", peer: 0, why: "down" },
  ]);
  await expect(toOne!.send(new Uint8Array(8), tag)).rejects.toBeInstanceOf(LinkLost);
});

test("a link that is closed says goodbye", async () => {
  const [[toOne], [toZero]] = await join(2);
  const waiting = expect(toOne!.receive(new Uint8Array(8), tag)).rejects.toMatchObject({ peer: 1, why: "left" });
  await toZero!.close();
  await waiting;
});

test("a limited link carries what it is told, measured at both ends", async () => {
  const [[toOne], [toZero]] = await join(2, { bytesPerSecond: 8_000_000 });
  const bytes = 1_600_000;
  const [down, up] = await Promise.all([
    toOne!.send(new Uint8Array(bytes), tag),
    toZero!.receive(new Uint8Array(bytes), tag),
  ]);
  // The bucket bounds the rate from above whatever else the machine does.
  for (const { seconds } of [down, up]) expect(bytes / seconds).toBeLessThan(9_500_000);
});

test("a reader that slows down slows its sender", async () => {
  const [[toOne], [toZero]] = await join(2);
  toZero!.limit(4_000_000);
  const bytes = 1_000_000;
  const [sent] = await Promise.all([
    toOne!.send(new Uint8Array(bytes), tag),
    toZero!.receive(new Uint8Array(bytes), tag),
  ]);
  expect(bytes / sent.seconds).toBeLessThan(6_000_000);
});

test("four ranks meet around rank 0", async () => {
  const ranks = await join(4);
  expect(ranks.map((links) => links.map(({ peer }) => peer))).toEqual([[1, 2, 3], [0], [0], [0]]);
});

test("strangers on the port are hung up on and disturb nobody", async () => {
  const port = await freePort();
  const zero = meet(meeting(port, 0, 2));
  const strangers: Promise<string>[] = [];
  const hello = (kind: "hello" | "chunk", rank: number, payloadBytes: number): Buffer =>
    encodeHeader({ kind, epoch: 3, rank, step: 0, round: 0, index: 0, payloadBytes, payloadCrc: 0 });
  for (const first of [
    Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nsome more bytes to be longer than any hello is"),
    Buffer.alloc(500_000, 0xff),
    Buffer.concat([hello("hello", 1, 32), secretOf("another spec")]),
    Buffer.concat([hello("hello", 7, 32), secretOf("spec")]),
    Buffer.concat([hello("hello", 1, 0xffffffff), secretOf("spec")]),
    Buffer.concat([hello("chunk", 1, 32), secretOf("spec")]),
    Buffer.alloc(0),
  ]) {
    strangers.push(
      new Promise((resolve) => {
        const socket = new Socket();
        const retry = (): Socket => socket.connect(port, host);
        socket.on("error", (error) => {
          if ("code" in error && error.code === "ECONNREFUSED") retry();
        });
        socket.on("connect", () => socket.write(first));
        socket.on("data", (bytes) => resolve(decodeHeader(bytes.subarray(0, headerBytes))?.kind ?? "?"));
        socket.on("close", (hadError) => {
          if (!hadError) resolve("closed");
        });
        retry();
      }),
    );
  }
  expect(await Promise.all(strangers.slice(2, 4))).toEqual(["refuse", "refuse"]);
  const [toZero] = await meet(meeting(port, 1, 2));
  const [toOne] = await zero;
  open.push(toZero!, toOne!);
  const into = new Uint8Array(16);
  await Promise.all([toZero!.send(vector(16, 1), tag), toOne!.receive(into, tag)]);
  expect(into).toEqual(vector(16, 1));
  await expect(
    new Promise((resolve, reject) => new Socket().on("error", reject).connect(port, host, () => resolve("open"))),
    "nobody listens once all ranks are there",
  ).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

test("a rank of an older epoch is refused, and says so; a newer one waits", async () => {
  const port = await freePort();
  const zero = meet(meeting(port, 0, 2));
  await expect(meet(meeting(port, 1, 2, { epoch: 2 }))).rejects.toBeInstanceOf(OlderEpoch);
  const newer = expect(meet(meeting(port, 1, 2, { epoch: 4 }))).rejects.toThrow("given up");
  const [toZero] = await meet(meeting(port, 1, 2));
  open.push(toZero!, ...(await zero));
  abort.abort(new Error("given up"));
  await newer;
});

test("a port that another process holds is said to be taken", async () => {
  const port = await freePort();
  const other = createServer().listen(port, host);
  await new Promise((resolve) => other.once("listening", resolve));
  await expect(meet(meeting(port, 0, 2))).rejects.toBeInstanceOf(PortTaken);
  other.close();
});
