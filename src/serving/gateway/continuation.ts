/**
 * Turns a request and the text that its client already has into a request for the rest, and fits the rest to the beginning.
 * Knows: continue_final_message, prefix completion, counts that move. Does not know: when it is done, who answers.
 * vLLM and SGLang: `continue_final_message: true` with `add_generation_prompt: false` makes the last assistant message the
 * beginning of the answer (vllm/entrypoints/openai/protocol.py, sglang/srt/entrypoints/openai/protocol.py).
 */
import type { Asked } from "./asked.ts";
import { spliceJson, topLevelRanges } from "./json-splice.ts";

/** What the client has of an answer. */
export interface Sent {
  readonly text: string;
  /** Events with something said; near enough the tokens. */
  readonly pieces: number;
}

/** The body that asks for the rest of the answer. `asked` must be fit to continue. */
export function continuedBody(asked: Asked, sent: Sent, model: string): Buffer {
  const text = asked.body.toString("utf8");
  const changes: Record<string, string | undefined> = { model: JSON.stringify(model) };
  const ranges = topLevelRanges(text, ["messages", "prompt", "max_tokens", "max_completion_tokens"]);
  const value = (key: string): string | undefined => {
    const range = ranges.get(key);
    return range && text.slice(range.start, range.end);
  };
  for (const key of ["max_tokens", "max_completion_tokens"]) {
    const limit = Number(value(key) ?? "null");
    if (Number.isFinite(limit) && limit > 0) changes[key] = String(Math.max(1, limit - sent.pieces));
  }
  if (asked.route === "/v1/chat/completions") {
    const messages = value("messages") ?? "[]";
    changes.messages = `${messages.slice(0, -1)},${JSON.stringify({ role: "assistant", content: sent.text })}]`;
    changes.add_generation_prompt = "false";
    changes.continue_final_message = "true";
  } else {
    const prompt: unknown = JSON.parse(value("prompt") ?? '""');
    changes.prompt = JSON.stringify(String(prompt) + sent.text);
  }
  return Buffer.from(spliceJson(text, changes));
}

/**
 * An event of the rest as part of the one answer: under the id that it began with, and with usage that counts the text already
 * sent as answer, not as prompt. The sum is exact; the split takes an event for a token.
 */
export function fitted(
  data: string,
  sent: Sent,
  id: string | undefined,
  usage: { prompt: number; completion: number } | undefined,
): string {
  const changes: Record<string, string | undefined> = { id: id === undefined ? undefined : JSON.stringify(id) };
  if (usage !== undefined) {
    const range = topLevelRanges(data, ["usage"]).get("usage");
    const counts = range && data.slice(range.start, range.end);
    const moved = Math.min(sent.pieces, usage.prompt);
    if (counts?.startsWith("{")) {
      changes.usage = spliceJson(counts, {
        prompt_tokens: String(usage.prompt - moved),
        completion_tokens: String(usage.completion + moved),
      });
    }
  }
  return spliceJson(data, changes);
}
