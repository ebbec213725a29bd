/**
 * Reads what one piece of an answer says: text, the end, counts, or that it is an error or no piece at all.
 * Knows: OpenAI's chunks and documents as the engines write them. Does not know: bytes, who sent them.
 */

/** What the gateway needs to know of an event or a whole answer. */
export interface Meaning {
  /** Of choice 0: what an answer could be continued from. */
  readonly text: string;
  /** Something was said: text, reasoning, a tool call, an embedding. */
  readonly says: boolean;
  /** Reasoning, tool calls, a refusal or more than one choice: what cannot be continued from text. */
  readonly beyondText: boolean;
  readonly finish: string | undefined;
  readonly id: string | undefined;
  readonly usage: { readonly prompt: number; readonly completion: number } | undefined;
}

/** Undefined when `value` is an error document or none that an endpoint answers with. */
export function meaningOf(value: unknown): Meaning | undefined {
  if (!isRecord(value) || isRecord(value.error) || typeof value.error === "string") return undefined;
  const { choices, data } = value;
  if (!Array.isArray(choices)) return Array.isArray(data) ? plain(value, data.length > 0) : undefined;
  const meaning = { ...plain(value, false) };
  for (const choice of choices) {
    if (!isRecord(choice)) return undefined;
    if (typeof choice.finish_reason === "string") meaning.finish = choice.finish_reason;
    if (typeof choice.index === "number" && choice.index > 0) meaning.beyondText = meaning.says = true;
    else if (typeof choice.text === "string") meaning.text += choice.text;
    const message = isRecord(choice.delta) ? choice.delta : isRecord(choice.message) ? choice.message : undefined;
    if (message === undefined) continue;
    if (typeof message.content === "string") meaning.text += message.content;
    if (
      isFilled(message.reasoning_content) ||
      isFilled(message.reasoning) ||
      isFilled(message.tool_calls) ||
      isFilled(message.refusal) ||
      isRecord(message.function_call)
    )
      meaning.beyondText = meaning.says = true;
  }
  if (meaning.text !== "") meaning.says = true;
  return meaning;
}

function plain(value: Record<string, unknown>, says: boolean): { -readonly [K in keyof Meaning]: Meaning[K] } {
  const { usage, id } = value;
  const counts = isRecord(usage)
    ? { prompt: count(usage.prompt_tokens), completion: count(usage.completion_tokens) }
    : undefined;
  return {
    text: "",
    says,
    beyondText: false,
    finish: undefined,
    id: typeof id === "string" ? id : undefined,
    usage: counts,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isFilled = (value: unknown): boolean => (typeof value === "string" || Array.isArray(value)) && value.length > 0;
const count = (value: unknown): number => (typeof value === "number" && value >= 0 ? value : 0);
