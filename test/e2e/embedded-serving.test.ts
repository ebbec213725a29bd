/** The embedded engine behind its endpoint, through the real OpenAI client: what only a real engine in its thread can show. */
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApp } from "../../src/serving/app.ts";
import { type EmbeddedBackend, openEmbedded } from "../../src/serving/embedded.ts";
import { type Listening, listen } from "../../src/serving/listen.ts";
import { BadInput } from "../../src/spec/bad-input.ts";
import { publishExampleModel } from "../example-model.ts";
import { temporaryFolder } from "./command.ts";

const folder = temporaryFolder();
let backend: EmbeddedBackend;
let server: Listening;
let client: OpenAI;
beforeAll(async () => {
  backend = await openEmbedded(publishExampleModel(join(folder.path, "checkpoints")), { name: "example" });
  server = await listen(createApp({ backend, now: () => 0, places: 64 }), { host: "127.0.0.1", port: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await server.close({ graceSeconds: 1 });
  await backend.close();
  folder[Symbol.dispose]();
});

const ask = { model: "example", prompt: "Call me Ishmael.", max_tokens: 12, temperature: 1, logprobs: 2 } as const;

test("answers asked for together are those asked for one by one, to the last bit of a log probability", async () => {
  const asks = Array.from({ length: 12 }, (_, seed) => ({ ...ask, prompt: ask.prompt.slice(seed % 5), seed }));
  const together = await Promise.all(asks.map((one) => client.completions.create(one)));
  for (const [index, one] of asks.entries()) {
    expect((await client.completions.create(one)).choices).toEqual(together[index]?.choices);
  }
  expect(new Set(together.map(({ choices }) => choices[0]?.text)).size).toBeGreaterThan(6);
});

test("several choices differ, and the prompt counts once", async () => {
  const answer = await client.completions.create({ ...ask, n: 3, seed: 4 });
  expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
  expect(new Set(answer.choices.map(({ text }) => text)).size).toBe(3);
  expect(answer.usage?.prompt_tokens).toBe(16);
  const first = await client.completions.create({ ...ask, seed: 4 });
  expect(first.choices[0]).toEqual(answer.choices[0]);
});

test("an echo begins with its prompt, scored from the second token on, streamed or not", async () => {
  const extra = { echo: true, return_tokens_as_token_ids: true, seed: 3 };
  const echoed = await client.completions.create({ ...ask, ...extra });
  const plain = await client.completions.create({ ...ask, seed: 3 });
  const [choice, own] = [echoed.choices[0], plain.choices[0]];
  expect(choice?.text).toBe(ask.prompt + own?.text);
  expect(choice?.logprobs?.tokens?.slice(0, 16)).toEqual([...Buffer.from(ask.prompt)].map((id) => `token_id:${id}`));
  expect(choice?.logprobs?.token_logprobs?.[0]).toBeNull();
  expect(choice?.logprobs?.token_logprobs?.slice(1).every((value) => value < 0)).toBe(true);
  let streamed = "";
  const stream = await client.completions.create({ ...ask, ...extra, stream: true });
  for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? "";
  expect(streamed).toBe(choice?.text);
});

test("the event loop turns while the engine computes", async () => {
  const long = client.completions.create({ ...ask, max_tokens: 100, n: 8 });
  let isDone = false;
  void long.then(() => (isDone = true));
  let answered = 0;
  while (!isDone) {
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    answered++;
  }
  expect(answered).toBeGreaterThan(5);
});

test("who goes away leaves the engine at once, in the midst of a stream or before it", async () => {
  const gone = new AbortController();
  const options = { signal: gone.signal };
  const streams = await Promise.all(
    [1, 2, 3].map((seed) => client.completions.create({ ...ask, max_tokens: 100, seed, stream: true }, options)),
  );
  for (const stream of streams) for await (const _ of stream) break;
  gone.abort();
  // The places are free, and what is asked next is answered as ever.
  const [next, same] = [
    await client.completions.create({ ...ask, seed: 7 }),
    await client.completions.create({ ...ask, seed: 7 }),
  ];
  expect(next.choices).toEqual(same.choices);
  expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ running: 0, waiting: 0 });
});

test("what is no model is bad input, and a closed engine says so", async () => {
  await expect(openEmbedded(join(folder.path, "nothing"))).rejects.toThrow(BadInput);
  const own = await openEmbedded(backend.path);
  await own.close();
  const asked = own.generate(
    { prompt: [1], maxTokens: 1, temperature: 0, topP: 1, seed: 1, topLogprobs: 0 },
    new AbortController().signal,
  );
  await expect(asked[Symbol.asyncIterator]().next()).rejects.toThrow("closed");
});
