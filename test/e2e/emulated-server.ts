/**
 * An emulation of how vLLM, SGLang and MindIE answer, around the embedded engine; none of the three is running.
 * Knows: their documented fields and shapes (sources: src/porting/parity/score-text.ts). Does not know: templates, batching, anything else of theirs.
 */
import { createServer } from "node:http";
import { byteTokenizer } from "../../src/engine/tokenizer.ts";
import { likeliest, rankOf } from "../../src/porting/measure-logits.ts";
import { whole } from "../../src/porting/parity/measure-reading.ts";
import type { LocalSide } from "../../src/porting/parity/open-side.ts";

export type Engine = "vllm" | "sglang" | "mindie";

export interface Emulated {
  readonly url: string;
  /** Path and body of every request. */
  readonly asked: { readonly path: string; readonly body: Record<string, unknown> }[];
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Emulation {
  readonly engine: Engine;
  readonly side: LocalSide;
  /** Ids of a text, where the emulated server cuts it otherwise than into bytes behind a first token. */
  readonly encode?: (text: string) => number[];
  /** Status and body in place of the answer; undefined lets it be. */
  readonly spoil?: (body: Record<string, unknown>, answer: object) => { status: number; text: string } | undefined;
}

/** One position: the token that stands there and the log probabilities of all tokens before it came. */
interface Position {
  readonly id: number;
  readonly row: Float32Array | undefined;
}

export async function emulatedServer(emulation: Emulation): Promise<Emulated> {
  const asked: Emulated["asked"] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    request.on("end", () => {
      const path = request.url ?? "";
      const body: Record<string, unknown> = text === "" ? {} : JSON.parse(text);
      if (text !== "") asked.push({ path, body });
      void answerOf(emulation, path, body).then(({ status, text: told }) => {
        response
          .writeHead(status, { "content-type": told.startsWith("<") ? "text/html" : "application/json" })
          .end(told);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  return {
    ...{ url: `http://127.0.0.1:${address.port}`, asked },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answerOf(
  emulation: Emulation,
  path: string,
  body: Record<string, unknown>,
): Promise<{ status: number; text: string }> {
  const { engine, spoil } = emulation;
  if (path === "/v1/models") return { status: 200, text: JSON.stringify({ object: "list", data: [{ id: "m" }] }) };
  const answer =
    path === "/generate" && engine === "sglang"
      ? await generate(emulation, body)
      : path === "/v1/completions"
        ? await completion(emulation, body)
        : path === "/v1/chat/completions" && engine === "vllm"
          ? await chat(emulation, body)
          : undefined;
  if (!answer) return { status: 404, text: JSON.stringify({ detail: "Not Found" }) };
  return spoil?.(body, answer) ?? { status: 200, text: JSON.stringify(answer) };
}

const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0);

function idsOf({ encode = (text) => [256, ...byteTokenizer.encode(text)] }: Emulation, prompt: unknown): number[] {
  return typeof prompt === "string" ? encode(prompt) : Array.isArray(prompt) ? prompt.map(Number) : [];
}

/** The prompt continued by `count` tokens, up to and without the last token of an answer. */
async function positionsOf({ side }: Emulation, ids: readonly number[], count: number): Promise<Position[]> {
  const { asked } = side;
  const grown = await asked.continueGreedily(ids, count);
  const end = grown.indexOf(257);
  const all = [...ids, ...(end === -1 ? grown : grown.slice(0, end))];
  const { tensors } = await asked.read(all, ids.length);
  const logits = await whole(tensors.get("logits")!, all.length);
  const width = asked.vocabulary;
  return all.map((id, at) => ({
    id,
    row: at === 0 ? undefined : logProbabilities(logits.subarray((at - 1) * width, at * width)),
  }));
}

function logProbabilities(logits: Float32Array): Float32Array {
  const most = logits.reduce((top, value) => Math.max(top, value), Number.NEGATIVE_INFINITY);
  const log = most + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return logits.map((value) => value - log);
}

/** The likeliest tokens and the position's own, as every engine lists them. */
const listed = ({ id, row }: Position, count: number): number[] =>
  row ? [...new Set([id, ...likeliest(row, count)])] : [];

/** A byte that is part of a character alone is written as vLLM writes it. */
function nameOf(id: number, byId: boolean): string {
  if (byId) return `token_id:${id}`;
  return id >= 128 && id < 256 ? `bytes:\\x${id.toString(16)}` : byteTokenizer.decode([id]);
}

async function completion(emulation: Emulation, body: Record<string, unknown>): Promise<object> {
  const { engine } = emulation;
  const ids = idsOf(emulation, body.prompt);
  const positions = await positionsOf(emulation, ids, numberOf(body.max_tokens));
  const grown = positions.slice(ids.length);
  const echoes = body.echo === true && engine !== "mindie";
  const byId = body.return_tokens_as_token_ids === true && engine === "vllm";
  const shown = echoes ? positions : grown;
  const text = byteTokenizer.decode(shown.map(({ id }) => id));
  const logprobs = body.logprobs === undefined ? null : legacy(shown, numberOf(body.logprobs), byId);
  return {
    ...{ id: "cmpl-1", object: "text_completion", model: "m", usage: { prompt_tokens: ids.length } },
    choices: [
      {
        ...{ index: 0, text, logprobs, finish_reason: "length" },
        ...(engine === "vllm" && {
          prompt_logprobs: promptLogprobs(positions.slice(0, ids.length), body.prompt_logprobs),
          prompt_token_ids: body.return_token_ids === true ? ids : null,
        }),
      },
    ],
  };
}

function legacy(positions: readonly Position[], count: number, byId: boolean): object {
  return {
    tokens: positions.map(({ id }) => nameOf(id, byId)),
    token_logprobs: positions.map(({ id, row }) => row?.[id] ?? null),
    top_logprobs: positions.map(
      (one) => one.row && Object.fromEntries(listed(one, count).map((id) => [nameOf(id, byId), one.row?.[id]])),
    ),
  };
}

/** vLLM's: by token id, the first null, −∞ as −9999. */
function promptLogprobs(positions: readonly Position[], count: unknown): object | null {
  if (typeof count !== "number") return null;
  return positions.map((one) => {
    const { row } = one;
    if (!row) return null;
    const entry = (id: number): object => ({
      ...{ logprob: Math.max(-9999, row[id]!), rank: rankOf(row, id), decoded_token: nameOf(id, false) },
    });
    return Object.fromEntries(listed(one, count).map((id) => [String(id), entry(id)]));
  });
}

/** A template of two lines, which is no model's: role and text. */
async function chat(emulation: Emulation, body: Record<string, unknown>): Promise<object> {
  const messages: { role: string; content: string }[] = Array.isArray(body.messages) ? body.messages : [];
  const told = messages.map(({ role, content }) => `${role}: ${content}`).join("\n");
  const ids = idsOf(emulation, body.continue_final_message === true ? told : `${told}\nassistant: `);
  const positions = await positionsOf(emulation, ids, numberOf(body.max_tokens));
  const content = positions.slice(ids.length).map((one) => ({
    ...{ token: nameOf(one.id, false), logprob: one.row?.[one.id] ?? 0 },
    top_logprobs: listed(one, numberOf(body.top_logprobs)).map((id) => ({
      token: nameOf(id, false),
      logprob: one.row?.[id] ?? 0,
    })),
  }));
  const text = byteTokenizer.decode(positions.slice(ids.length).map(({ id }) => id));
  return {
    ...{ id: "chatcmpl-1", object: "chat.completion", model: "m", usage: { prompt_tokens: ids.length } },
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text },
        logprobs: body.logprobs === true ? { content } : null,
      },
    ],
    prompt_logprobs: promptLogprobs(positions.slice(0, ids.length), body.prompt_logprobs),
    prompt_token_ids: body.return_token_ids === true ? ids : null,
  };
}

/** SGLang's own: [log probability, id, text or null], the first without probability. */
async function generate(emulation: Emulation, body: Record<string, unknown>): Promise<object> {
  const ids = idsOf(emulation, body.input_ids ?? body.text);
  const positions = await positionsOf(emulation, ids, 1);
  const triple = ({ id, row }: Position): unknown[] => [row?.[id] ?? null, id, null];
  const tops = (one: Position): unknown[] | null =>
    one.row ? likeliest(one.row, numberOf(body.top_logprobs_num)).map((id) => [one.row?.[id] ?? null, id, null]) : null;
  const input = positions.slice(0, ids.length);
  return {
    text: byteTokenizer.decode(positions.slice(ids.length).map(({ id }) => id)),
    meta_info: {
      ...{ prompt_tokens: ids.length, completion_tokens: 1, finish_reason: { type: "length", length: 1 } },
      ...{ input_token_logprobs: input.map(triple), input_top_logprobs: input.map(tops) },
    },
  };
}
