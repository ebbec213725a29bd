/**
 * Writes text as the bytes that logs hold it in: UTF-8, and GB 18030 for Chinese.
 * Knows: both encodings. Does not know: which one a file has (reader).
 */
/** The characters of today's rules with their codes, two bytes each in hexadecimal: others are looked up in the whole plane, at a cost at start-up. */
const knownCharacters =
  "上不丢中为件使信入内出分动占卡变只启回在地址备够失子存对已开弃心总成抢拒持掉接支收放文断新方无时是显" +
  "有杀权死段没法现用的盘磁离空算管系线绝统被设误读超足路跳输连通道配重链错间限";
const knownCodes =
  "c9cfb2bbb6aad6d0ceaabcfecab9d0c5c8ebc4dab3f6b7d6b6afd5bcbfa8b1e4d6bbc6f4bbd8d4dab5d8d6b7b1b8b9bbcaa7" +
  "d7d3b4e6b6d4d2d1bfaac6fad0c4d7dcb3c9c7c0bedcb3d6b5f4bdd3d6a7cad5b7c5cec4b6cfd0c2b7bdcedecab1cac7cfd4" +
  "d3d0c9b1c8a8cbc0b6cec3bbb7a8cfd6d3c3b5c4c5ccb4c5c0ebbfd5cbe3b9dccfb5cfdfbef8cdb3b1bbc9e8cef3b6c1b3ac" +
  "d7e3c2b7ccf8cae4c1accda8b5c0c5e4d6d8c1b4b4edbce4cfde";

let known: Map<string, number> | undefined;
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

export function pairInPlane(character: string): number | undefined {
  const index = twoBytePlane().get(character);
  return index === undefined
    ? undefined
    : ((leadMin + Math.floor(index / trails)) << 8) | (trailMin + (index % trails));
}

export function knownPairs(): ReadonlyMap<string, number> {
  known ??= new Map(
    [...knownCharacters].map((character, i) => [character, Number.parseInt(knownCodes.slice(4 * i, 4 * i + 4), 16)]),
  );
  return known;
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
      const pair = knownPairs().get(character) ?? pairInPlane(character);
      if (pair === undefined) return [utf8];
      bytes.push(pair >> 8, pair & 255);
    }
  }
  return [utf8, Uint8Array.from(bytes)];
}
