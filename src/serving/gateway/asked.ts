/**
 * Reads a client's request once, for what routing, limits and continuation need of it.
 * Knows: OpenAI's request keys. Does not know: backends; the bytes go on as they came.
 */
import { hashText } from "./choose.ts";
import { isRecord } from "./chunk.ts";
import { GatewayError } from "./gateway-error.ts";

export const routes = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] as const;
export type Route = (typeof routes)[number];

export interface Asked {
  readonly route: Route;
  /** As it came. */
  readonly body: Buffer;
  readonly model: string;
  readonly stream: boolean;
  /** The most tokens that the answer may have, if the client said so. */
  readonly maxTokens: number | undefined;
  /** A rough count, for routing and limits before the answer says how many there were. */
  readonly promptTokens: number;
  /** Equal for the turns of a conversation. */
  readonly conversation: number;
  /** Why an answer to it cannot go on from its text on another backend; undefined when it can. */
  readonly unfitToContinue: string | undefined;
}

const charactersPerToken = 4;
const guided = [
  "response_format",
  "structured_outputs",
  "guided_json",
  "guided_regex",
  "guided_choice",
  "guided_grammar",
  "regex",
  "json_schema",
  "ebnf",
];

/** GatewayError 400 when the body is no JSON object or names no model. */
export function readAsked(route: Route, body: Buffer): Asked {
  let value: unknown;
  const text = body.toString("utf8");
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GatewayError(400, `the body is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!isRecord(value)) throw new GatewayError(400, "the body is not a JSON object");
  const { model } = value;
  if (typeof model !== "string" || model === "") throw new GatewayError(400, "model: is missing", { param: "model" });
  const limit = value.max_completion_tokens ?? value.max_tokens;
  return {
    route,
    body,
    model,
    stream: value.stream === true,
    maxTokens: typeof limit === "number" && limit > 0 ? limit : undefined,
    promptTokens: Math.ceil(text.length / charactersPerToken),
    conversation: conversationOf(value, hashText(model)),
    unfitToContinue: unfit(route, value),
  };
}

/** Hash of what comes before the first answer: system messages and the first thing that the user said. */
function conversationOf(request: Record<string, unknown>, from: number): number {
  if (!Array.isArray(request.messages)) {
    const { prompt, input } = request;
    const beginning = prompt ?? input;
    return hashText(typeof beginning === "string" ? beginning : (JSON.stringify(beginning) ?? ""), 512, from);
  }
  let hash = from;
  for (const message of request.messages) {
    if (!isRecord(message) || message.role === "assistant") break;
    hash = hashText(
      typeof message.content === "string" ? message.content : (JSON.stringify(message.content) ?? ""),
      2048,
      hash,
    );
    if (message.role === "user") break;
  }
  return hash;
}

function unfit(route: Route, request: Record<string, unknown>): string | undefined {
  if (route === "/v1/embeddings") return "embeddings come in one piece";
  if (typeof request.n === "number" && request.n > 1) return "several answers at once";
  for (const key of guided) {
    const given = request[key];
    if (given !== undefined && given !== null && !(isRecord(given) && given.type === "text"))
      return `${key} would begin anew in the middle of the text`;
  }
  if (route === "/v1/chat/completions") {
    if (!Array.isArray(request.messages) || request.messages.length === 0) return "no messages";
    return request.continue_final_message === true ? "the client continues an answer of its own" : undefined;
  }
  if (typeof request.prompt !== "string") return "the prompt is not one text";
  if (typeof request.best_of === "number" && request.best_of > 1) return "best_of";
  if (request.echo === true) return "echo";
  return typeof request.suffix === "string" && request.suffix !== "" ? "suffix" : undefined;
}
