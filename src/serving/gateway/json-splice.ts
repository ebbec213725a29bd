/**
 * Changes single values of a JSON object without writing the rest anew, so that every other byte reaches the backend as the client sent it.
 * Knows: where a top-level key's value begins and ends in text that JSON.parse accepted. Does not know: what the keys mean.
 */

/** Half-open range of a value in the text. */
export interface ValueRange {
  readonly start: number;
  readonly end: number;
}

/** The text with top-level keys of `changes` set (their last occurrence, which is the one that counts) or added at the end. */
export function spliceJson(text: string, changes: Readonly<Record<string, string | undefined>>): string {
  const ranges = topLevelRanges(text, Object.keys(changes));
  const edits: { start: number; end: number; value: string }[] = [];
  const added: string[] = [];
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    const range = ranges.get(key);
    if (range) edits.push({ ...range, value });
    else added.push(`${JSON.stringify(key)}:${value}`);
  }
  if (added.length > 0) {
    const end = text.lastIndexOf("}");
    const empty = text.slice(text.indexOf("{") + 1, end).trim() === "";
    edits.push({ start: end, end, value: (empty ? "" : ",") + added.join(",") });
  }
  edits.sort((a, b) => b.start - a.start);
  let result = text;
  for (const { start, end, value } of edits) result = result.slice(0, start) + value + result.slice(end);
  return result;
}

/** Ranges of the values of `keys` at the top level of `text`, which must be a valid JSON object. */
export function topLevelRanges(text: string, keys: readonly string[]): Map<string, ValueRange> {
  const found = new Map<string, ValueRange>();
  let at = text.indexOf("{") + 1;
  for (;;) {
    at = skipSpace(text, at);
    if (text[at] !== '"') return found;
    const keyEnd = stringEnd(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    if (typeof key === "string" && keys.includes(key)) found.set(key, { start, end });
    at = skipSpace(text, end);
    if (text[at] !== ",") return found;
    at++;
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code === 32 || code === 10 || code === 13 || code === 9; )
    code = text.charCodeAt(++at);
  return at;
}

/** Index after the closing quote of the string that begins at `start`. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at++;
    else if (code === 0x22) return at + 1;
  }
  throw new RangeError("the string has no end");
}

function valueEnd(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return stringEnd(text, start);
  let at = start;
  if (first === "{" || first === "[") {
    for (let depth = 0; at < text.length; at++) {
      const character = text[at];
      if (character === '"') at = stringEnd(text, at) - 1;
      else if (character === "{" || character === "[") depth++;
      else if ((character === "}" || character === "]") && --depth === 0) return at + 1;
    }
    throw new RangeError("the value has no end");
  }
  while (at < text.length && !",}] \n\r\t".includes(text[at] ?? ",")) at++;
  return at;
}
