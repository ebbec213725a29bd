/** `compare` scores one text on both sides where servers offer that, as vLLM, SGLang and MindIE (emulated around the engine) answer it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareLines } from "../../src/cli/render/compare.ts";
import { compare } from "../../src/porting/compare.ts";
import type { CompareReport } from "../../src/porting/compare-report.ts";
import { type LocalSide, openSide } from "../../src/porting/parity/open-side.ts";
import { publishExampleModel } from "../example-model.ts";
import { temporaryFolder } from "./command.ts";
import { type Emulation, emulatedServer } from "./emulated-server.ts";

const folder = temporaryFolder();
let checkpoint: string;
let prompts: string;
let side: LocalSide;
let other: LocalSide;
beforeAll(async () => {
  checkpoint = publishExampleModel(join(folder.path, "checkpoints"));
  prompts = join(folder.path, "prompts.txt");
  writeFileSync(prompts, "Call me Ishmael.\nSome years ago\n");
  side = await local(checkpoint);
  other = await local(publishExampleModel(join(folder.path, "other"), { seed: 9 }));
});
afterAll(async () => {
  await side.close();
  await other.close();
  folder[Symbol.dispose]();
});

async function local(path: string): Promise<LocalSide> {
  const opened = await openSide(path);
  if (opened.kind === "trace" || opened.kind === "server") throw new Error("a checkpoint is a directory");
  return opened;
}

const ask = (a: string, b: string, more: object = {}) => compare({ a, b, prompts, answerTokens: 6, ...more });
const textOf = (report: CompareReport): string =>
  compareLines(report)
    .map(({ text }) => text)
    .join(" ")
    .replace(/ +/g, " ");
/** Prompts of 17 and 15 tokens and answers of 6, without the first token of each. */
const positions = 16 + 6 + 14 + 6;

test("vLLM's prompt_logprobs: every position of prompt and answer, also behind the one where answers part", async () => {
  await using vllm = await emulatedServer({ engine: "vllm", side });
  const report = await ask(checkpoint, vllm.url);
  expect(report).toMatchObject({
    positions,
    topOneAgreement: 1,
    scoring: { a: "the embedded engine", b: "prompt_logprobs", prompts: 2 },
  });
  expect(report.verdict).not.toBe("different");
  expect(report.meanKl).toBeLessThan(1e-6);
  expect(textOf(report)).toContain("2 of 2 prompts with A's answers scored on both sides");
  expect(vllm.asked.some(({ body }) => Array.isArray(body.prompt) && body.prompt_logprobs === 5)).toBe(true);
  await using wrong = await emulatedServer({ engine: "vllm", side: other });
  const apart = await ask(checkpoint, wrong.url);
  expect(apart).toMatchObject({ verdict: "different", positions });
  const servers = await ask(vllm.url, wrong.url);
  expect(servers).toMatchObject({
    verdict: "different",
    scoring: { a: "prompt_logprobs", b: "prompt_logprobs", prompts: 2 },
  });
});

test("chat: the template, the prompt and A's answer as the assistant's unfinished words", async () => {
  await using vllm = await emulatedServer({ engine: "vllm", side });
  const report = await ask(vllm.url, vllm.url, { chat: true });
  expect(report).toMatchObject({
    verdict: "same",
    scoring: { a: "prompt_logprobs", b: "prompt_logprobs", prompts: 2, otherTokens: 0 },
  });
  expect(report.positions).toBeGreaterThan(positions);
  expect(
    vllm.asked.some(({ body }) => body.continue_final_message === true && body.add_generation_prompt === false),
  ).toBe(true);
});

test("SGLang's /generate scores by id; MindIE scores no given text, so its own answers are compared and that is said", async () => {
  await using sglang = await emulatedServer({ engine: "sglang", side });
  const scored = await ask(checkpoint, sglang.url);
  expect(scored).toMatchObject({ positions, scoring: { b: "/generate", prompts: 2 } });
  expect(scored.meanKl).toBeLessThan(1e-6);
  await using mindie = await emulatedServer({ engine: "mindie", side });
  const own = await ask(checkpoint, mindie.url);
  expect(own).toMatchObject({ positions: 12, scoring: { a: null, b: null, prompts: 0 } });
  expect(own.verdict).not.toBe("different");
  expect(textOf(own)).toContain("does not score texts that it did not write");
});

test("a server that cuts texts into other tokens is not scored, and is said to", async () => {
  const encode = (text: string): number[] => [256, 258, ...Buffer.from(text)];
  await using vllm = await emulatedServer({ engine: "vllm", side });
  await using padded = await emulatedServer({ engine: "vllm", side, encode });
  const report = await ask(vllm.url, padded.url);
  expect(report.scoring).toMatchObject({ prompts: 0, otherTokens: 2 });
  expect(textOf(report)).toContain("2 of 2 prompts are cut into other tokens by B than by A");
});

test("a server that answers otherwise each time is told to do so before it is blamed", async () => {
  let turn = 0;
  const spoil: Emulation["spoil"] = (_, answer) => {
    const text = turn++ % 2 === 0 ? "one" : "two";
    const changed = { ...answer, choices: [{ text, logprobs: null }] };
    return { status: 200, text: JSON.stringify(changed) };
  };
  await using unsteady = await emulatedServer({ engine: "vllm", side, spoil });
  const report = await ask(checkpoint, unsteady.url);
  expect(report).toMatchObject({
    verdict: "different",
    repeatable: { a: true, b: false },
    cause: { reason: "sampling" },
  });
});

/** Answers what is asked for answers, and `reply` where a prompt is to be scored. */
const whenScored =
  (reply: (answer: object) => { status: number; text: string }): Emulation["spoil"] =>
  (body, answer) =>
    body.prompt_logprobs === undefined ? undefined : reply(answer);

describe("a server that cannot score after all", () => {
  test("a refused field leaves the other ways; a probability that is no number is a difference, not a pass", async () => {
    const refuse = whenScored(() => ({ status: 400, text: '{"error":{"message":"prompt_logprobs"}}' }));
    await using refusing = await emulatedServer({ engine: "vllm", side, spoil: refuse });
    expect((await ask(checkpoint, refusing.url)).scoring).toMatchObject({ b: "echo", prompts: 2 });
    const nulls = whenScored((answer) => ({
      status: 200,
      text: JSON.stringify(answer).replace(/"logprob":-?[\d.e-]+/g, '"logprob":null'),
    }));
    await using broken = await emulatedServer({ engine: "vllm", side, spoil: nulls });
    expect(await ask(checkpoint, broken.url)).toMatchObject({ verdict: "different", scoring: { prompts: 2 } });
    const zeros = whenScored((answer) => ({
      status: 200,
      text: JSON.stringify(answer).replace(/"logprob":-[\d.e-]+/g, '"logprob":-9999'),
    }));
    await using clamped = await emulatedServer({ engine: "vllm", side, spoil: zeros });
    expect((await ask(checkpoint, clamped.url)).verdict).toBe("different");
  });

  test.each<[string, { status: number; text: string }, RegExp]>([
    ["HTML", { status: 200, text: "<html>gateway</html>" }, /answers HTML/],
    ["JSON cut short", { status: 200, text: '{"choices":[{"prompt_logprobs":[null,{"1"' }, /cut short/],
    [
      "NaN in JSON",
      { status: 200, text: '{"choices":[{"text":"a","prompt_logprobs":[null,{"1":{"logprob": NaN}}]}]}' },
      /answers with NaN or Infinity/,
    ],
    ["a refused key", { status: 401, text: "{}" }, /refuses the key/],
    [
      "fewer scores than tokens",
      { status: 200, text: '{"choices":[{"text":"a","prompt_logprobs":[null]}]}' },
      /scores 1 tokens of \d+/,
    ],
  ])("%s is told in one line", async (_, reply, why) => {
    await using server = await emulatedServer({ engine: "vllm", side, spoil: whenScored(() => reply) });
    const error = await ask(checkpoint, server.url).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "BadInput", message: expect.stringMatching(why) });
  });
});
