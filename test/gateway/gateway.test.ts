/** The contract of the gateway, over real HTTP, with the real OpenAI client and backends that break on command. */
import { createHash } from "node:crypto";
import OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { parseFleetFile } from "../../src/serving/gateway/fleet-file.ts";
import { answerTo, type Illness, type MockBackend, mockBackend } from "./mock-backend.ts";
import { type Around, fleetOver, noticing, type ServedMocks, serveMocks } from "./serve-mocks.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function open(
  names: string[],
  more: Record<string, unknown> = {},
  { pieceMilliseconds = 0, ...around }: Around & { pieceMilliseconds?: number } = {},
) {
  const mocks = await Promise.all(names.map((name) => mockBackend({ name, pieceMilliseconds })));
  for (const mock of mocks) closers.push(mock.close);
  const gateway = await serveMocks(mocks, more, around);
  closers.push(gateway.close);
  return { mocks, gateway, client: clientOf(gateway), one: mocks[0]!, two: mocks[1]! };
}

const clientOf = ({ url }: ServedMocks, apiKey = "none"): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: "user" as const, content: "What is it?" }];
const said = answerTo("What is it?").join("");
const ask = { model: "whale", messages };
const post = (url: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
/** The backend that a conversation is routed to, found by asking. */
const homeOf = (mocks: MockBackend[]): MockBackend => mocks.find((mock) => mock.requests.length > 0)!;
/** Makes an answer take so long, by the test's clock. */
const taking =
  (clock: { seconds: number }, seconds: number) =>
  (text: string): string => {
    clock.seconds += seconds;
    return text;
  };
/** Resolves when `holds`; the test's own time limit ends a wait in vain. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

describe("pass-through", () => {
  test("whole and streamed answers reach the real client unchanged, usage and reasoning included", async () => {
    const { client, one } = await open(["one"]);
    const whole = await client.chat.completions.create({ ...ask, reasoning: true } as typeof ask);
    expect(whole.choices[0]?.message).toEqual({ role: "assistant", content: said, reasoning_content: "hm" });
    expect(whole.usage).toEqual({ prompt_tokens: 7, completion_tokens: 12, total_tokens: 19 });
    const streamed = await client.chat.completions
      .stream({ ...ask, stream_options: { include_usage: true } })
      .finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(said);
    expect(streamed.usage).toEqual(whole.usage);
    expect((await client.completions.create({ model: "whale", prompt: "T|" })).choices[0]?.text).toBe(
      answerTo("T|").join(""),
    );
    const embedding = await client.embeddings.create({ model: "whale", input: ["ab", "c"], encoding_format: "float" });
    expect(embedding.data.map((item) => item.embedding)).toEqual([
      [2, 0.5],
      [1, 0.5],
    ]);
    expect(one.requests.map(({ path }) => path)).toEqual([
      "/v1/chat/completions",
      "/v1/chat/completions",
      "/v1/completions",
      "/v1/embeddings",
    ]);
  });
  test("every byte of request, answer and stream is the client's and the backend's", async () => {
    const { gateway, one } = await open(["one"]);
    for (const stream of [false, true]) {
      const body = `{ "model":"whale","seed":12345678901234567890, "stream":${stream},\n"messages":[{"role":"user","content":"\\u00fcber"}], "x":1.0 }`;
      const through = await (await post(gateway.url, body)).text();
      const direct = await (await post(one.url, body)).text();
      expect(through).toBe(direct);
      expect(one.requests.map((request) => request.body)).toEqual([body, body]);
      one.requests.length = 0;
    }
  });
  test("tools, streamed", async () => {
    const { client } = await open(["one"]);
    const tools = [{ type: "function" as const, function: { name: "f", parameters: {} } }];
    const answer = await client.chat.completions.stream({ ...ask, tools }).finalChatCompletion();
    expect(answer.choices[0]?.finish_reason).toBe("tool_calls");
    expect(answer.choices[0]?.message.tool_calls?.[0]).toMatchObject({
      id: "call_1",
      function: { name: "f", arguments: '{"x":1}' },
    });
  });
  test("models are the union; names are translated; trace context and the backend's own key go on, the client's does not", async () => {
    const { gateway, one } = await open(["one"]);
    const file = fleetOver([one]) as { backends: Record<string, unknown>[] };
    const backends = [
      { ...file.backends[0], name: "named", models: { whale: "whale-w8a8", shark: "shark" }, apiKeyEnv: "ONE_KEY" },
    ];
    const named = await serveMocks([], { backends }, { env: { ONE_KEY: "k1" } });
    closers.push(named.close);
    const models = await clientOf(named).models.list();
    expect(models.data.map(({ id }) => id)).toEqual(["whale", "shark"]);
    await expect(clientOf(named).models.retrieve("cod")).rejects.toMatchObject({ status: 404 });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const response = await post(named.url, JSON.stringify(ask), {
      traceparent,
      "x-request-id": "my-id",
      authorization: "Bearer client",
    });
    expect(response.headers.get("x-request-id")).toBe("my-id");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
    expect(one.requests[0]).toMatchObject({
      headers: { traceparent, "x-request-id": "my-id", authorization: "Bearer k1" },
    });
    expect(JSON.parse(one.requests[0]!.body).model).toBe("whale-w8a8");
    expect((await fetch(`${gateway.url}/v1/models`)).status).toBe(200);
  });
  test("a client that goes away ends the work at the backend", async () => {
    const { client, one } = await open(["one"], {}, { pieceMilliseconds: 20 });
    const abort = new AbortController();
    const stream = await client.chat.completions.create({ ...ask, stream: true }, { signal: abort.signal });
    for await (const _ of stream) break;
    abort.abort();
    await until(() => one.running === 0);
    expect(one.abandoned).toBe(1);
  });
});

describe("failover", () => {
  const unseen: Illness[] = ["error-500", "busy-429", "garbage", "empty", "freeze", "half-json", "cut"];
  test.each(unseen)("%s before anything was sent is not seen by the client", async (illness) => {
    const { client, mocks } = await open(["one", "two"], illness === "freeze" ? { health: noticing } : {});
    await client.chat.completions.create(ask);
    const home = homeOf(mocks);
    home.illness = illness;
    expect((await client.chat.completions.create(ask)).choices[0]?.message.content).toBe(said);
    expect(home.struck[illness]).toBe(1);
  });
  const broken: Illness[] = ["cut", "freeze-in-stream", "half-json", "error-in-stream", "bad-utf8"];
  test.each(broken)("%s in the middle: another backend goes on with the text", async (illness) => {
    const more = illness === "freeze-in-stream" ? { health: noticing } : {};
    const { client, mocks, gateway } = await open(["one", "two"], more);
    await client.chat.completions.create(ask);
    const home = homeOf(mocks);
    home.illness = illness;
    const answer = await client.chat.completions
      .stream({ ...ask, max_tokens: 100, stream_options: { include_usage: true } })
      .finalChatCompletion();
    expect(answer.choices[0]?.message.content).toBe(said);
    expect(answer.usage?.total_tokens).toBe(19);
    expect(answer.usage?.completion_tokens).toBe(12);
    expect(home.struck[illness]).toBe(1);
    const [asked] = mocks.find((mock) => mock !== home)!.requests.map(({ body }) => JSON.parse(body));
    expect(asked).toMatchObject({ add_generation_prompt: false, continue_final_message: true, max_tokens: 93 });
    expect(asked.messages.at(-1).role).toBe("assistant");
    expect(gateway.said.join()).toMatch(/went on with an answer/);
  });
  test("completions go on from a longer prompt, and the stream says where", async () => {
    const { mocks, gateway } = await open(["one", "two"]);
    const body = JSON.stringify({ model: "whale", prompt: "T|", stream: true });
    const send = () =>
      fetch(`${gateway.url}/v1/completions`, { method: "POST", body, headers: { "content-type": "application/json" } });
    await (await send()).text();
    homeOf(mocks).illness = "cut";
    const text = await (await send()).text();
    expect(text).toMatch(/\n\n: dualgauge: continued on (one|two)\n\n/);
    const chunks = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, json]) => JSON.parse(json!));
    expect(chunks.map((chunk) => chunk.choices[0].text).join("")).toBe(answerTo("T|").join(""));
    expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
  });
  test("where nobody can go on there is one explicit error, and its id resumes the answer", async () => {
    const { gateway, one } = await open(["one"], { routing: { giveUpSeconds: 0.2 } });
    one.illness = "cut";
    const body = JSON.stringify({ ...ask, stream: true });
    const broken = post(gateway.url, body).then((response) => response.text());
    await until(() => one.struck.cut === 1);
    one.illness = "error-500";
    const events = (await broken).trim().split("\n\n");
    const { error } = JSON.parse(events.at(-1)!.slice(6));
    expect(error).toMatchObject({ code: "stream_interrupted", resume_id: expect.stringMatching(/^resume-/) });
    const textOf = (list: string[]) =>
      list
        .filter((event) => event.startsWith("data: {"))
        .map((event) => JSON.parse(event.slice(6)).choices?.[0]?.delta.content ?? "")
        .join("");
    one.illness = undefined;
    const resumed = await post(gateway.url, body, { "x-dualgauge-resume": error.resume_id });
    expect(textOf(events) + textOf((await resumed.text()).split("\n\n"))).toBe(said);
    expect(resumed.headers.get("x-dualgauge-resumed")).toBe("text");
    expect((await post(gateway.url, body, { "x-dualgauge-resume": error.resume_id })).status).toBe(404);
  });
  test("an engine that cannot go on makes a resumed answer begin anew, and says so", async () => {
    const { one } = await open(["one"]);
    const { backends } = fleetOver([one]) as { backends: object[] };
    const gateway = await serveMocks([], { backends: [{ ...backends[0], engine: "openai" }] });
    closers.push(gateway.close);
    one.illness = "cut";
    const body = JSON.stringify({ ...ask, stream: true });
    const broken = await (await post(gateway.url, body)).text();
    expect(broken).toMatch(/no backend of this model continues chat answers/);
    one.illness = undefined;
    const id = /resume-[0-9a-f-]+/.exec(broken)![0];
    const resumed = await post(gateway.url, body, { "x-dualgauge-resume": id });
    expect(resumed.headers.get("x-dualgauge-resumed")).toBe("start");
    expect(await resumed.text()).toBe(await (await post(one.url, body)).text());
  });
  test("an answer with reasoning is not continued but said to be broken", async () => {
    const { client, mocks } = await open(["one", "two"]);
    await client.chat.completions.create(ask);
    homeOf(mocks).illness = "cut";
    const run = client.chat.completions.stream({ ...ask, reasoning: true } as typeof ask).finalChatCompletion();
    await expect(run).rejects.toThrow(/broke off: reasoning/);
  });
  test("a backend's refusal of the request is passed on, and asked of nobody else", async () => {
    const { client, mocks } = await open(["one", "two"]);
    const wrong = [...messages, { role: "assistant" as const, content: "x" }];
    const bad = client.chat.completions.create({
      model: "whale",
      messages: wrong,
      continue_final_message: true,
    } as typeof ask);
    await expect(bad).rejects.toMatchObject({ status: 400 });
    expect(mocks.reduce((sum, mock) => sum + mock.requests.length, 0)).toBe(1);
  });
  test("an open breaker lets nobody through until its wait is over, then one, and closes when that goes well", async () => {
    const clock = { seconds: 0 };
    const waits = { openSeconds: 100, openSecondsMax: 1000 };
    const { client, mocks, gateway } = await open(["one", "two"], { health: waits }, { now: () => clock.seconds });
    // Far slower than the other will be: by speed alone it would never be asked again.
    for (const mock of mocks) mock.says = taking(clock, 5);
    await client.chat.completions.create(ask);
    const home = homeOf(mocks);
    for (const mock of mocks) mock.says = undefined;
    home.illness = "error-500";
    for (let n = 0; n < 6; n++) await client.chat.completions.create(ask);
    expect(home.struck["error-500"]).toBe(3);
    const breaker = () => gateway.gateway.fleet.backends.find((live) => live.file.name === home.name)?.health.breaker;
    const health = await (await fetch(`${gateway.url}/health`)).json();
    expect(health).toMatchObject({
      backends: expect.arrayContaining([expect.objectContaining({ name: home.name, breaker: "open" })]),
    });
    clock.seconds += 99;
    await client.chat.completions.create(ask);
    expect(home.struck["error-500"]).toBe(3);
    clock.seconds += 1;
    await client.chat.completions.create(ask);
    expect(home.struck["error-500"]).toBe(4);
    // The failed trial doubled the wait.
    home.illness = undefined;
    clock.seconds += 199;
    await client.chat.completions.create(ask);
    expect(breaker()).toBe("open");
    clock.seconds += 1;
    const before = home.requests.length;
    await client.chat.completions.create(ask);
    expect(home.requests.length).toBe(before + 1);
    expect(breaker()).toBe("closed");
  });
  test("a backend that was slow once gets its conversations back, one first", async () => {
    const clock = { seconds: 0 };
    const { client, mocks } = await open(["one", "two"], {}, { now: () => clock.seconds });
    for (const mock of mocks) mock.says = taking(clock, 5);
    await client.chat.completions.create(ask);
    const home = homeOf(mocks);
    for (const mock of mocks) mock.says = taking(clock, 0.01);
    // Conversations whose home is the other show how fast that is.
    const other = mocks.find((mock) => mock !== home)!;
    for (let n = 0; other.requests.length < 5; n++)
      await client.chat.completions.create({ ...ask, messages: [{ role: "user", content: `another ${n}` }] });
    const before = home.requests.length;
    await client.chat.completions.create(ask);
    expect(home.requests.length).toBe(before);
    clock.seconds += 1000;
    await client.chat.completions.create(ask);
    expect(home.requests.length).toBe(before + 1);
  });
});

describe("who may ask, and how much", () => {
  const sha256 = createHash("sha256").update("secret").digest("hex");
  test("keys, their models and their limits", async () => {
    const { gateway } = await open(["one"], { keys: [{ name: "k", sha256, requestsPerMinute: 1, models: ["whale"] }] });
    await expect(clientOf(gateway, "wrong").chat.completions.create(ask)).rejects.toMatchObject({ status: 401 });
    await expect(clientOf(gateway, "secret").chat.completions.create({ ...ask, model: "shark" })).rejects.toMatchObject(
      { status: 404 },
    );
    await clientOf(gateway, "secret").chat.completions.create(ask);
    await expect(clientOf(gateway, "secret").chat.completions.create(ask)).rejects.toMatchObject({
      status: 429,
      code: "rate_limit_exceeded",
    });
  });
  test("bodies and headers have limits, and other types are refused", async () => {
    const { gateway } = await open(["one"], { limits: { bodyBytes: 1000, headerBytes: 2048 } });
    expect((await post(gateway.url, JSON.stringify({ ...ask, x: "y".repeat(2000) }))).status).toBe(413);
    expect((await post(gateway.url, "{}", { "x-long": "y".repeat(4000) })).status).toBe(431);
    expect((await post(gateway.url, "{}", { "content-type": "text/plain" })).status).toBe(415);
    for (const wrong of ["{", "[]", "{}", '{"model":"shark"}'])
      expect((await post(gateway.url, wrong)).status).toBeGreaterThanOrEqual(400);
    expect((await fetch(`${gateway.url}/nothing`)).status).toBe(404);
    expect((await fetch(`${gateway.url}/v1/chat/completions`)).status).toBe(405);
  });
  test("pages of named origins may read, when that is asked for", async () => {
    const { gateway } = await open(["one"], { cors: { origins: ["https://a.example"] } });
    const origin = async (name: string) =>
      (await fetch(`${gateway.url}/v1/models`, { headers: { origin: name } })).headers.get(
        "access-control-allow-origin",
      );
    expect([await origin("https://a.example"), await origin("https://b.example")]).toEqual(["https://a.example", null]);
  });
});

describe("canary, shadow, reload", () => {
  const many = async (client: OpenAI, count: number): Promise<void> => {
    for (let n = 0; n < count; n++)
      await client.chat.completions.create({ model: "whale", messages: [{ role: "user", content: `question ${n}` }] });
  };
  test("a canary that says something else is rolled back; one that agrees stays", async () => {
    const canary = { backend: "two", percent: 100, comparePercent: 100, samplesMin: 4, tolerance: 0.1, tokens: 64 };
    const { client, gateway, two } = await open(["one", "two"], { canary });
    await many(client, 8);
    expect(gateway.gateway.fleet.rolledBack).toBeUndefined();
    expect(two.requests.length).toBeGreaterThan(8);
    two.says = (text) => (text === "" ? "" : `Quite different: ${text}`);
    await until(async () => {
      await many(client, 1);
      return gateway.gateway.fleet.rolledBack !== undefined;
    });
    expect(gateway.said.join()).toMatch(/canary two rolled back: its texts agree to/);
    const before = two.requests.length;
    await many(client, 5);
    // What was being compared may still end; no client is answered by it any more.
    expect(two.requests.slice(before).every(({ body }) => body.includes('"temperature":0'))).toBe(true);
  });
  test("a shadow is asked too and answers nobody", async () => {
    const { client, one, two } = await open(["one", "two"], { shadow: { backend: "two", percent: 50 } });
    two.says = () => "shadow";
    await many(client, 10);
    await until(() => two.requests.length === 5);
    expect(one.requests.length).toBe(10);
  });
  test("a new file drains, removes and adds backends without dropping a stream", async () => {
    const { client, gateway, one, two } = await open(["one"], {}, { pieceMilliseconds: 10 }).then(async (opened) => ({
      ...opened,
      two: await mockBackend({ name: "two" }),
    }));
    closers.push(two.close);
    const stream = client.chat.completions.stream(ask).finalChatCompletion();
    await until(() => one.running === 1);
    const next = { ...fleetOver([two]), listen: { port: 0 } };
    await gateway.reload(parseFleetFile(next, "FLEET.yaml"));
    await client.chat.completions.create(ask);
    expect(two.requests.length).toBe(1);
    expect((await stream).choices[0]?.message.content).toBe(said);
    expect(one.requests.length).toBe(1);
    await expect(gateway.reload(parseFleetFile({ ...next, listen: { port: 1 } }, "FLEET.yaml"))).rejects.toThrow(
      /start anew/,
    );
  });
  test("closing lets an answer end", async () => {
    const { client, gateway, one } = await open(["one"], {}, { pieceMilliseconds: 10 });
    const stream = client.chat.completions.stream(ask).finalChatCompletion();
    await until(() => one.running === 1);
    await gateway.close();
    expect((await stream).choices[0]?.message.content).toBe(said);
  });
});

test("metrics have vLLM's names", async () => {
  const { client, gateway } = await open(["one"]);
  await client.chat.completions.stream(ask).finalChatCompletion();
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(text).toContain('vllm:num_requests_running{backend="one"} 0');
  expect(text).toContain('vllm:generation_tokens_total{model_name="whale",backend="one"} 12');
  expect(text).toContain('vllm:request_success_total{model_name="whale",backend="one",finished_reason="stop"} 1');
  expect(text).toMatch(/vllm:time_to_first_token_seconds_count\{[^}]*\} 1/);
});
