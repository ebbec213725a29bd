/**
 * Writes text as the bytes that logs hold it in: UTF-8, and GB 18030 for Chinese.
 * Knows: both encodings. Does not know: which one a file has (reader).
 */
let pairs: Map<string, Uint8Array> | undefined;

/** Node decodes GB 18030 but cannot encode it: the two-byte plane is turned around once. */
function twoBytePlane(): Map<string, Uint8Array> {
  if (pairs !== undefined) return pairs;
  pairs = new Map();
  const decoder = new TextDecoder("gb18030");
  for (let lead = 0x81; lead <= 0xfe; lead++) {
    for (let trail = 0x40; trail <= 0xfe; trail++) {
      if (trail === 0x7f) continue;
      const bytes = Uint8Array.of(lead, trail);
      const character = decoder.decode(bytes);
      if (character.length === 1 && character !== "\ufffd") pairs.set(character, bytes);
    }
  }
  return pairs;
}

/** The byte forms of `text`: one for ASCII, two where it holds Chinese. */
export function encodings(text: string): Uint8Array[] {
  const utf8 = new TextEncoder().encode(text);
  if (utf8.length === text.length) return [utf8];
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) bytes.push(code);
    else {
      const pair = twoBytePlane().get(character);
      if (pair === undefined) return [utf8];
      bytes.push(...pair);
    }
  }
  return [utf8, Uint8Array.from(bytes)];
}
