/**
 * Writes text as the bytes that logs hold it in: UTF-8, and GB 18030 for Chinese.
 * Knows: both encodings. Does not know: which one a file has (reader).
 */
let pairs: Map<string, Uint8Array> | undefined;

/** Node decodes GB 18030 but cannot encode it: the two-byte plane is turned around once, in one call, since each call is slow. */
function twoBytePlane(): Map<string, Uint8Array> {
  if (pairs !== undefined) return pairs;
  const codes: Uint8Array[] = [];
  for (let lead = 0x81; lead <= 0xfe; lead++) {
    for (let trail = 0x40; trail <= 0xfe; trail++) if (trail !== 0x7f) codes.push(Uint8Array.of(lead, trail));
  }
  const all = new Uint8Array(codes.length * 3).fill(10);
  for (const [index, code] of codes.entries()) all.set(code, index * 3);
  pairs = new Map();
  for (const [index, character] of new TextDecoder("gb18030").decode(all).split("\n").entries()) {
    const code = codes[index];
    if (code !== undefined && character.length === 1 && character !== "\ufffd") pairs.set(character, code);
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
