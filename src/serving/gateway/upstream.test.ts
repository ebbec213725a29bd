/** Tests that the embedded engine's line knows clients by their key, not by their connection or by what they say of themselves. */
import { Hono } from "hono";
import { expect, test } from "vitest";
import { callerHeader, createApp } from "../app.ts";
import type { Backend } from "../backend.ts";
import { embeddedUpstream } from "./upstream.ts";

/** Answers in the order in which it is let go; each prompt is remembered when its turn comes. */
function heldBackend(): { backend: Backend; turns: string[]; next: () => void } {
  const turns: string[] = [];
  const waiting: (() => void)[] = [];
  const backend: Backend = {
    ...{ model: "m", contextTokens: 100, vocabularySize: 256 },
    encode: (text) => [...Buffer.from(text)],
    async *generate({ prompt }) {
      turns.push(String.fromCharCode(...prompt));
      await new Promise<void>((resolve) => waiting.push(resolve));
      yield { token: 0, bytes: new Uint8Array(), logprob: 0, top: [], finish: "stop" };
    },
  };
  return { backend, turns, next: () => waiting.shift()?.() };
}

test("a key with many requests waits for one with few, whatever user they name", async () => {
  const { backend, turns, next } = heldBackend();
  const upstream = embeddedUpstream(createApp({ backend, now: () => 0, places: 1 }), async () => undefined);
  let ended = 0;
  const ask = (caller: string, prompt: string, user: string): Promise<void> => {
    const body = Buffer.from(JSON.stringify({ model: "m", prompt, user, max_tokens: 1 }));
    const over = (): void => void ended++;
    const sink = { onStart: () => undefined, onData: () => undefined, onEnd: over, onError: over };
    upstream.send(
      { method: "POST", path: "/v1/completions", headers: { "content-type": "application/json" }, body, caller },
      sink,
    );
    return new Promise((resolve) => setImmediate(resolve));
  };
  for (const [n, user] of ["u1", "u2", "u3", "u4"].entries()) await ask("many", `m${n}`, user);
  await ask("few", "f0", "u1");
  for (let n = 1; n <= 5; n++) {
    while (turns.length < n) await new Promise((resolve) => setImmediate(resolve));
    next();
  }
  while (ended < 5) await new Promise((resolve) => setImmediate(resolve));
  expect(turns).toEqual(["m0", "m1", "f0", "m2", "m3"]);
});

test("who has no key is not named", async () => {
  const app = new Hono();
  const seen: (string | undefined)[] = [];
  app.get("/", (context) => {
    seen.push(context.req.header(callerHeader));
    return context.text("");
  });
  const upstream = embeddedUpstream(app, async () => undefined);
  const get = (caller?: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const sink = { onStart: () => undefined, onData: () => undefined, onEnd: resolve, onError: reject };
      upstream.send({ method: "GET", path: "/", headers: {}, body: undefined, caller }, sink);
    });
  await get();
  await get("team-a");
  expect(seen).toEqual([undefined, "team-a"]);
});
