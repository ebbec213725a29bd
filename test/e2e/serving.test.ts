/** The endpoint as the real OpenAI client sees it, over a real socket, with the smallest real language model behind it. */
import { createConnection } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../src/serving/app.ts";
import type { Backend } from "../../src/serving/backend.ts";
import { type Listening, listen } from "../../src/serving/listen.ts";
import { BadInput } from "../../src/spec/bad-input.ts";
import { bigramBackend } from "./bigram-backend.ts";

const text = "The whale is a whale — and the sea is the sea.\n\nUser: no\n\nThe end of the whale.";
const loopback = { host: "127.0.0.1", port: 0 };
let running = 0;
let abandoned = 0;

/** Counts what is generated and what is given up, so that a test can see an abort arrive. */
function counted(backend: Backend): Backend {
  return {
    ...backend,
    async *generate(request, signal) {
      running++;
      try {
        yield* backend.generate(request, signal);
      } finally {
        running--;
        if (signal.aborted) abandoned++;
      }
    },
  };
}
const backend = counted(bigramBackend({ model: "whale", text, contextTokens: 100_000 }));
let server: Listening;
let client: OpenAI;
beforeAll(async () => {
  server = await listen(createApp({ backend, now: () => 1_700_000_000.9, waitingMax: 4 }), loopback);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server.close({ graceSeconds: 1 }));

describe("models", () => {
  test("the one model is listed and can be asked for", async () => {
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["whale"]);
    expect(await client.models.retrieve("whale")).toMatchObject({ id: "whale", created: 1_700_000_000 });
  });
  test("another one is not found", async () => {
    await expect(client.models.retrieve("shark")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });
});

describe("completions", () => {
  const ask = { model: "whale", prompt: "Th", max_tokens: 40, temperature: 0.9 } as const;

  test("equal seeds give equal texts, other seeds other ones", async () => {
    const [one, same, other] = await Promise.all([
      client.completions.create({ ...ask, seed: 7 }),
      client.completions.create({ ...ask, seed: 7 }),
      client.completions.create({ ...ask, seed: 8 }),
    ]);
    expect(one.choices[0]?.text).toBe(same.choices[0]?.text);
    expect(one.choices[0]?.text).not.toBe(other.choices[0]?.text);
    expect(one.id).not.toBe(same.id);
  });
  test("temperature 0 takes the likeliest", async () => {
    const answer = await client.completions.create({ ...ask, temperature: 0, max_tokens: 3 });
    expect(answer.choices[0]).toMatchObject({ text: "e t", finish_reason: "length" });
    expect(answer.usage).toEqual({ prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 });
  });
  test("a stream carries the same text as the whole answer, then usage", async () => {
    const whole = await client.completions.create({ ...ask, seed: 3 });
    const stream = await client.completions.create({
      ...ask,
      seed: 3,
      stream: true,
      stream_options: { include_usage: true },
    });
    let streamed = "";
    let finish: string | null = null;
    let usage: OpenAI.CompletionUsage | undefined;
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.text ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(streamed).toBe(whole.choices[0]?.text);
    expect(finish).toBe(whole.choices[0]?.finish_reason);
    expect(usage).toEqual(whole.usage);
  });
  test("stop sequences end the text before them", async () => {
    const answer = await client.completions.create({ ...ask, temperature: 0, stop: ["e t"], max_tokens: 50 });
    expect(answer.choices[0]).toMatchObject({ text: "", finish_reason: "stop" });
  });
  test("several prompts, as text or tokens, are answered in order", async () => {
    const texts = await client.completions.create({ ...ask, prompt: ["wha", "se"], temperature: 0, max_tokens: 2 });
    const tokens = await client.completions.create({
      ...ask,
      prompt: ["wha", "se"].map((part) => [...Buffer.from(part)]),
      temperature: 0,
      max_tokens: 2,
    });
    expect(texts.choices.map((choice) => choice.index)).toEqual([0, 1]);
    expect(tokens.choices.map((choice) => choice.text)).toEqual(texts.choices.map((choice) => choice.text));
  });
  test("log probabilities belong to the tokens and are those of the model", async () => {
    const answer = await client.completions.create({
      ...ask,
      prompt: "a w",
      temperature: 0,
      max_tokens: 2,
      logprobs: 2,
    });
    const logprobs = answer.choices[0]?.logprobs;
    expect(logprobs?.tokens?.join("")).toBe(answer.choices[0]?.text);
    const sum = Object.values(logprobs?.top_logprobs?.[0] ?? {}).reduce((total, value) => total + Math.exp(value), 0);
    expect(sum).toBeCloseTo(1, 6);
    expect(logprobs?.text_offset).toEqual([0, 1]);
  });
});

describe("chat completions", () => {
  const messages = [{ role: "user", content: "What is it?" }] satisfies OpenAI.ChatCompletionMessageParam[];

  test("an answer has a role, a text and a reason to end", async () => {
    const answer = await client.chat.completions.create({
      model: "whale",
      messages,
      max_tokens: 20,
      seed: 1,
      logprobs: true,
    });
    const [choice] = answer.choices;
    expect(choice?.message.role).toBe("assistant");
    expect(choice?.message.content).not.toBe("");
    expect(choice?.logprobs?.content?.flatMap(({ bytes }) => bytes ?? [])).toEqual([
      ...Buffer.from(choice?.message.content ?? ""),
    ]);
    expect(choice?.finish_reason).toMatch(/^(stop|length)$/);
  });
  test("the streaming helper of the client assembles the same answer", async () => {
    const ask = { model: "whale", messages, max_completion_tokens: 30, seed: 5 };
    const whole = await client.chat.completions.create(ask);
    const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
    expect(streamed.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
  });
});

test("an answer goes on from its beginning as if it had never stopped", async () => {
  const messages = [{ role: "user", content: "What is it?" }] satisfies OpenAI.ChatCompletionMessageParam[];
  const greedy = { model: "whale", temperature: 0 };
  const textOf = (answer: OpenAI.ChatCompletion): string => answer.choices[0]?.message.content ?? "";
  const whole = textOf(await client.chat.completions.create({ ...greedy, messages, max_tokens: 20 }));
  const beginning = textOf(await client.chat.completions.create({ ...greedy, messages, max_tokens: 8 }));
  const given = [...messages, { role: "assistant" as const, content: beginning }];
  const more = { continue_final_message: true, add_generation_prompt: false };
  const rest = { ...greedy, ...more, messages: given, max_tokens: 12 };
  expect(beginning + textOf(await client.chat.completions.create(rest))).toBe(whole);
  await expect(client.chat.completions.create({ ...rest, messages })).rejects.toThrow(
    /an assistant message at the end/,
  );
});

describe("refusals", () => {
  const base = { model: "whale", prompt: "T" };
  test.each([
    ["an unknown key, naming the nearest", { ...base, max_token: 3 }, /did you mean max_tokens\?/, 400],
    ["more answers at once than it gives", { ...base, n: 17 }, /^n: /, 400],
    ["more than the context", { ...base, max_tokens: 100_000 }, /context of 100000 tokens/, 400],
    ["an empty prompt", { ...base, prompt: "" }, /the prompt is empty/, 400],
    ["a token outside the vocabulary", { ...base, prompt: [999] }, /outside 0 to 256/, 400],
    ["a temperature out of range", { ...base, temperature: 9 }, /temperature/, 400],
    ["another model", { ...base, model: "x" }, /serves "whale"/, 404],
  ])("%s", async (_, body, message, status) => {
    const response = await post("/v1/completions", JSON.stringify(body));
    expect(response.status).toBe(status);
    expect((await response.json()) as unknown).toMatchObject({ error: { message: expect.stringMatching(message) } });
  });
  test("tools, through the client", async () => {
    const tools = [{ type: "function", function: { name: "f" } }] satisfies OpenAI.ChatCompletionTool[];
    const ask = { model: "whale", messages: [{ role: "user" as const, content: "x" }], tools };
    await expect(client.chat.completions.create(ask)).rejects.toThrow(/tools are not supported/);
  });
  test("what is no JSON, too large, of another type or at another path", async () => {
    expect((await post("/v1/completions", "{")).status).toBe(400);
    expect((await post("/v1/completions", `"${"x".repeat(5 * 2 ** 20)}"`)).status).toBe(413);
    expect((await post("/v1/completions", "{}", "text/plain")).status).toBe(415);
    expect((await post("/v1/nothing", "{}")).status).toBe(404);
  });
  test("a nested body does not exhaust the stack", async () => {
    expect((await post("/v1/completions", `${"[".repeat(200_000)}${"]".repeat(200_000)}`)).status).toBe(400);
  });
});

describe("the line", () => {
  test("a client that goes away frees its place at once, running or waiting", async () => {
    const before = abandoned;
    const abort = new AbortController();
    const long = { model: "whale", prompt: "T", max_tokens: 90_000, stop: "\u0000" };
    const stream = await client.completions.create({ ...long, stream: true }, { signal: abort.signal });
    const waiting = client.completions.create(long, { signal: abort.signal });
    for await (const _ of stream) break;
    abort.abort();
    await expect(waiting).rejects.toThrow();
    // The next request is answered only when the place is free again.
    await client.completions.create({ model: "whale", prompt: "T", max_tokens: 1 });
    expect(running).toBe(0);
    expect(abandoned).toBeGreaterThan(before);
  });
  test("more than the line holds is refused at once and says so", async () => {
    // The one place is held until the client leaves, however slowly the others arrive.
    const held: Backend = {
      ...backend,
      async *generate(_, signal) {
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      },
    };
    const full = await listen(createApp({ backend: held, now: () => 0, waitingMax: 4 }), loopback);
    const own = new OpenAI({ baseURL: `${full.url}/v1`, apiKey: "none", maxRetries: 0 });
    const abort = new AbortController();
    const refused: unknown[] = [];
    await new Promise<void>((resolve) => {
      for (let index = 0; index < 12; index++) {
        own.completions.create({ model: "whale", prompt: "T" }, { signal: abort.signal }).catch((error: unknown) => {
          if (refused.push(error) === 12 - 1 - 4) resolve();
        });
      }
    });
    abort.abort();
    for (const error of refused.slice(0, 7)) expect(error).toMatchObject({ status: 429, code: "overloaded" });
    await full.close({ graceSeconds: 1 });
  });
});

test("a port in use is bad input", async () => {
  const second = listen(createApp({ backend, now: () => 0 }), { host: "127.0.0.1", port: server.port });
  await expect(second).rejects.toThrow(BadInput);
  await expect(second).rejects.toThrow(/another program listens there/);
});

test("closing lets an answer end and takes no new connection", async () => {
  const closing = await listen(createApp({ backend, now: () => 0 }), loopback);
  const own = new OpenAI({ baseURL: `${closing.url}/v1`, apiKey: "none", maxRetries: 0 });
  const stream = await own.completions.create({
    model: "whale",
    prompt: "T",
    max_tokens: 500,
    temperature: 0,
    stream: true,
  });
  const closed = closing.close({ graceSeconds: 30 });
  let pieces = 0;
  for await (const _ of stream) pieces++;
  expect(pieces).toBe(500);
  await closed;
  await expect(
    new Promise((resolve, reject) => {
      createConnection(closing.port, "127.0.0.1").on("connect", resolve).on("error", reject);
    }),
  ).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

function post(path: string, body: string, type = "application/json"): Promise<Response> {
  return fetch(server.url + path, { method: "POST", body, headers: { "content-type": type } });
}
