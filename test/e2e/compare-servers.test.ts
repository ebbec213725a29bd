/** `compare` against servers: the embedded engine's own endpoint, and servers that refuse, lie, stream, break off or sample. */

import { writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compare } from "../../src/porting/compare.ts";
import { createApp } from "../../src/serving/app.ts";
import { type EmbeddedBackend, openEmbedded } from "../../src/serving/embedded.ts";
import { type Listening, listen } from "../../src/serving/listen.ts";
import { publishExampleModel } from "../example-model.ts";
import { temporaryFolder } from "./command.ts";

const folder = temporaryFolder();
let checkpoint: string;
let prompts: string;
let backend: EmbeddedBackend;
let server: Listening;
beforeAll(async () => {
  checkpoint = publishExampleModel(join(folder.path, "checkpoints"));
  prompts = join(folder.path, "prompts.jsonl");
  const lines = [
    { prompt: "Call me Ishmael.", answer: "x" },
    { prompt: "Some years ago", answer: "never" },
  ];
  writeFileSync(prompts, lines.map((one) => JSON.stringify(one)).join("\n"));
  backend = await openEmbedded(checkpoint, { name: "example" });
  server = await listen(createApp({ backend, now: () => 0 }), { host: "127.0.0.1", port: 0 });
});
afterAll(async () => {
  await server.close({ graceSeconds: 1 });
  await backend.close();
  folder[Symbol.dispose]();
});

const ask = (a: string, b: string, more: object = {}) => compare({ a, b, prompts, answerTokens: 8, ...more });

test("a model and the endpoint that serves it say the same; an endpoint of another model does not", async () => {
  const report = await ask(checkpoint, server.url);
  expect(report.verdict).not.toBe("different");
  expect(report.positions).toBeGreaterThan(8);
  expect(report).toMatchObject({ topOneAgreement: 1, klOf: "likeliest tokens", repeatable: { a: true, b: true } });
  expect(report.b).toMatchObject({ kind: "server", contentOf: "answers", weightsSha256: null });
  expect(report.b.contentSha256).toMatch(/^[0-9a-f]{64}$/);
  expect(report.task?.a).toMatchObject({ right: 0, of: 2 });
  const other = await ask(publishExampleModel(join(folder.path, "other"), { seed: 9 }), server.url);
  expect(other).toMatchObject({ verdict: "different", cause: { reason: "operator" } });
  const twice = await ask(server.url, server.url, { chat: true });
  expect(twice.verdict).toBe("same");
});

/** A server of one reply for every path but the list of models. */
async function scripted(reply: (response: ServerResponse, body: string, path: string) => void): Promise<{
  url: string;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const made: Server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      if (request.url?.endsWith("/models") && body === "" && !reply.name.startsWith("all"))
        json(response, { data: [{ id: "m" }] });
      else reply(response, body, request.url ?? "");
    });
  });
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  const address = made.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      made.closeAllConnections();
      await new Promise((resolve) => made.close(resolve));
    },
  };
}

function json(response: ServerResponse, document: object, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
}

const completion = (tokens: readonly string[], top: readonly Record<string, number>[]): object => ({
  choices: [
    {
      text: tokens.join(""),
      logprobs: { tokens, token_logprobs: top.map((one, index) => one[tokens[index]!] ?? -9), top_logprobs: top },
    },
  ],
});

test("a server that samples in spite of temperature 0 is found by its own probabilities", async () => {
  await using honest = await scripted((response) =>
    json(
      response,
      completion(
        ["a", "b"],
        [
          { a: -0.1, c: -2.5 },
          { b: -0.2, d: -2 },
        ],
      ),
    ),
  );
  await using sampling = await scripted((response) =>
    json(
      response,
      completion(
        ["c", "b"],
        [
          { a: -0.1, c: -2.5 },
          { b: -0.2, d: -2 },
        ],
      ),
    ),
  );
  const report = await ask(honest.url, sampling.url);
  expect(report).toMatchObject({ verdict: "different", cause: { reason: "sampling" } });
  expect(report.cause?.text).toContain("side B");
});

test("answers that part at a near tie are within tolerance, and the same beyond it are not", async () => {
  const near = [{ a: -0.7, c: -0.75 }];
  await using a = await scripted((response) => json(response, completion(["a"], near)));
  await using b = await scripted((response) => json(response, completion(["c"], [{ a: -0.74, c: -0.71 }])));
  await using far = await scripted((response) => json(response, completion(["c"], [{ a: -2.5, c: -0.1 }])));
  const tied = await ask(a.url, b.url);
  expect(tied.prompts[0]?.greedyDivergence).toMatchObject({ at: 0, nearTie: true });
  expect(tied.verdict).toBe("within tolerance");
  expect(await ask(a.url, far.url)).toMatchObject({ verdict: "different", cause: { reason: "operator" } });
});

test("what a server does not take is left out, once; a key goes where it belongs", async () => {
  const asked: string[] = [];
  await using picky = await scripted((response, body) => {
    asked.push(body);
    if (/echo|token_ids/.test(body)) json(response, { error: { message: "unknown" } }, 400);
    else json(response, completion(["a"], [{ a: -0.1 }]));
  });
  expect((await ask(picky.url, picky.url)).verdict).toBe("same");
  // Of each side: ids once for the answers, then ids for a score and twice an echo.
  expect(asked.filter((body) => /echo|token_ids/.test(body)).length).toBe(8);
});

describe("refused in one line", () => {
  const cases: [string, (response: ServerResponse, body: string, path: string) => void, RegExp][] = [
    [
      "a wrong key",
      function all(response) {
        json(response, { error: { message: "no" } }, 401);
      },
      /refuses the key \(401\)/,
    ],
    [
      "HTML for the API",
      function all(response) {
        response.writeHead(200, { "content-type": "text/html" }).end("<html>");
      },
      /answers HTML/,
    ],
    [
      "JSON cut short",
      (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"choices": [{'),
      /cut short/,
    ],
    [
      "a stream cut short",
      (response) =>
        response.writeHead(200, { "content-type": "text/event-stream" }).end('data: {"choices":[{"text":"a"}]}\n\n'),
      /broke off before its end/,
    ],
    [
      "a connection cut",
      (response) => {
        response.writeHead(200, { "content-length": "99" });
        response.write("{");
        response.destroy();
      },
      /broke off/,
    ],
    ["another document", (response) => json(response, { hello: 1 }), /no completion/],
    ["no completions", (response) => json(response, {}, 404), /--chat/],
    [
      "a failure",
      (response) => json(response, { error: { message: "engine\ndied" } }, 500),
      /answers 500 \(engine died\)/,
    ],
    [
      "a redirect",
      (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      /cannot be reached/,
    ],
  ];
  test.each(cases)("%s", async (_, reply, why) => {
    await using other = await scripted(reply);
    await refused(ask(other.url, checkpoint), why);
  });

  test("nobody listens, a password in the URL, several models, a trace against a server", async () => {
    const gone = await scripted(() => undefined);
    await gone[Symbol.asyncDispose]();
    await refused(ask(gone.url, checkpoint), /cannot be reached or broke off \(ECONNREFUSED\)/);
    await refused(ask("http://u:secret@127.0.0.1:1", checkpoint), /^127\.0\.0\.1:1: holds a password/);
    await refused(
      ask(server.url, checkpoint, { sides: { a: { model: "other" } } }),
      /has no model other; choose one of example/,
    );
    await refused(ask(checkpoint, server.url, { chat: true }), /--chat is for two servers/);
  });
});

async function refused(promise: Promise<unknown>, why: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: "BadInput", message: expect.stringMatching(why) });
  expect(String(error).split("\n")).toHaveLength(1);
}
