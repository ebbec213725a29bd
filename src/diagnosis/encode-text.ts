/**
 * Writes text as the bytes that logs hold it in: UTF-8, and GB 18030 for Chinese.
 * Knows: both encodings. Does not know: which one a file has (reader).
 */
let pairs: Map<string, number> | undefined;
const [leadMin, leadMax, trailMin, trailMax] = [0x81, 0xfe, 0x40, 0xfe];
const trails = trailMax - trailMin + 1;

/** Node decodes GB 18030 but cannot encode it: the two-byte plane is turned around once, in one call, since each call is slow. */
function twoBytePlane(): Map<string, number> {
  if (pairs !== undefined) return pairs;
  const all = new Uint8Array((leadMax - leadMin + 1) * trails * 3).fill(10);
  for (let index = 0; index * 3 < all.length; index++) {
    const trail = trailMin + (index % trails);
    all[index * 3] = leadMin + Math.floor(index / trails);
    // 7F ends no pair; a blank keeps its place.
    all[index * 3 + 1] = trail === 0x7f ? 0x20 : trail;
  }
  pairs = new Map();
  let index = 0;
  for (const character of new TextDecoder("gb18030").decode(all).split("\n")) {
    if (character.length === 1 && character !== "\ufffd") pairs.set(character, index);
    index++;
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
      const index = twoBytePlane().get(character);
      if (index === undefined) return [utf8];
      bytes.push(leadMin + Math.floor(index / trails), trailMin + (index % trails));
    }
  }
  return [utf8, Uint8Array.from(bytes)];
}
