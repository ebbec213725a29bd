/**
 * Writes a conversation as plain text for a model that knows no chat format of its own.
 * Knows: roles and one fixed layout. Does not know: Jinja templates (a model that has one is served by vLLM, not by this engine).
 */
import type { ChatMessage } from "./requests.ts";

const speaker = { system: "System", developer: "System", user: "User", assistant: "Assistant" } as const;

/**
 * `Speaker: text` paragraphs, ending with `Assistant:` for the model to go on from. `continues`: the last message is what the
 * model has answered so far, and it goes on from there; its text stands as the model wrote it, with its own leading space.
 */
export function chatPrompt(messages: readonly ChatMessage[], { continues = false } = {}): string {
  const last = continues ? messages.at(-1) : undefined;
  if (last !== undefined) return chatPrompt(messages.slice(0, -1)) + textOf(last);
  const paragraphs = messages.map((message) => `${speaker[message.role]}: ${textOf(message)}`);
  return `${paragraphs.join("\n\n")}\n\nAssistant:`;
}

/** What the model writes when it goes on to speak for the user; the answer ends before it. */
export const chatStops: readonly string[] = ["\n\nUser:", "\n\nSystem:"];

function textOf({ content }: ChatMessage): string {
  return typeof content === "string" ? content : content.map((part) => part.text).join("");
}
