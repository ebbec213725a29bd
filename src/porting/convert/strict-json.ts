/**
 * Reads JSON that somebody else wrote: no key twice, none reserved, no depth that a parser would choke on.
 * Knows: JSON's grammar, and where each top-level member lies in the text. Does not know: what the document means.
 */
import { BadInput } from "../../spec/bad-input.ts";

const depthMax = 64;

export interface Member {
  readonly key: string;
  /** The value exactly as it is written. */
  readonly text: string;
}

export interface StrictObject {
  readonly value: Readonly<Record<string, unknown>>;
  /** Top-level members in the order in which they stand. */
  readonly members: readonly Member[];
}

/** The object that `text` holds; BadInput naming `where` for anything else, for a repeated key and for `__proto__`. */
export function parseStrictObject(text: string, where: string): StrictObject {
  const members = membersOf(text, where);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BadInput(`${where}: is not JSON (${oneLine(error)}); download or copy it again`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new BadInput(`${where}: is no JSON object; download or copy it again`);
  }
  return { value: Object.fromEntries(Object.entries(value)), members };
}

/** JSON.parse quotes the text that it stumbled over, which may hold line breaks. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return JSON.stringify(message.slice(0, 160)).slice(1, -1);
}

interface Open {
  readonly isObject: boolean;
  readonly keys: Set<string>;
}

/** One pass without recursion. It needs no full grammar: what it lets through is parsed again by JSON.parse. */
function membersOf(text: string, where: string): Member[] {
  const members: Member[] = [];
  const open: Open[] = [];
  let begin: { key: string; at: number } | undefined;
  const close = (at: number): void => {
    if (begin) members.push({ key: begin.key, text: text.slice(begin.at, at).trim() });
    begin = undefined;
  };
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = stringEnd(text, at);
      const top = open.at(-1);
      const colon = top?.isObject ? colonAfter(text, end) : undefined;
      if (top && colon !== undefined) {
        const key = keyOf(text.slice(at, end), where);
        if (top.keys.has(key)) throw new BadInput(`${where}: key ${shown(key)} appears twice; remove one`);
        if (key === "__proto__") throw new BadInput(`${where}: key "__proto__" is reserved; remove it`);
        top.keys.add(key);
        if (open.length === 1) begin = { key, at: colon + 1 };
        at = colon;
      } else at = end - 1;
    } else if (code === 0x7b || code === 0x5b) {
      if (open.length >= depthMax) throw new BadInput(`${where}: is nested deeper than ${depthMax}; mend it`);
      open.push({ isObject: code === 0x7b, keys: new Set() });
    } else if (code === 0x7d || code === 0x5d) {
      if (open.length === 1) close(at);
      open.pop();
    } else if (code === 0x2c && open.length === 1) close(at);
  }
  return members;
}

const quote = 0x22;

function stringEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) return at + 1;
    if (code === 0x5c) at++;
  }
  return text.length;
}

function colonAfter(text: string, from: number): number | undefined {
  let at = from;
  while (" \t\r\n".includes(text[at] ?? "x")) at++;
  return text[at] === ":" ? at : undefined;
}

function keyOf(literal: string, where: string): string {
  try {
    const key: unknown = JSON.parse(literal);
    if (typeof key === "string") return key;
  } catch {
    // Told below.
  }
  throw new BadInput(`${where}: ${shown(literal)} is no JSON string; download or copy it again`);
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));
