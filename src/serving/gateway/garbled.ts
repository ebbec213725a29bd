/**
 * Says whether a text looks like the output of a broken model or a broken card, and why.
 * Knows: endless repetition, bytes that were no text, scripts mixed word by word. Does not know: whether the answer is true.
 * It is meant to be seldom wrong rather than always right: one such answer is a hint, a row of them is evidence.
 */

const scripts = [
  /\p{Script=Latin}/u,
  /\p{Script=Han}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Arabic}/u,
  /\p{Script=Hangul}/u,
  /\p{Script=Thai}/u,
  /\p{Script=Devanagari}/u,
  /\p{Script=Hebrew}/u,
  /\p{Script=Greek}/u,
];
/** Repeats of one piece at the end of a text, and their length in characters, from which it counts as a loop. */
const repeatsMin = 24;
const repeatedCharactersMin = 240;
const periodMax = 64;

/** The first reason found; undefined for a text that passes, and for one too short to judge. */
export function garbled(text: string): "not-text" | "repetition" | "token-salad" | undefined {
  if (isNotText(text)) return "not-text";
  if (repeats(text)) return "repetition";
  return isSalad(text) ? "token-salad" : undefined;
}

function isNotText(text: string): boolean {
  let strange = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0xfffd || (code < 32 && code !== 9 && code !== 10 && code !== 13)) strange++;
  }
  return strange >= 4 && strange > text.length * 0.05;
}

/** Whether the text ends in one piece again and again. Rules and padding ("-----", spaces) are no words and do not count. */
function repeats(text: string): boolean {
  for (let period = 1; period <= periodMax; period++) {
    const needed = Math.max(repeatedCharactersMin, repeatsMin * period);
    if (needed > text.length) return false;
    let at = text.length - 1;
    while (at >= text.length - needed + period && text[at] === text[at - period]) at--;
    if (at < text.length - needed + period) return /[\p{L}\p{N}]/u.test(text.slice(-period));
  }
  return false;
}

/** At least four scripts, changing at every third word or oftener: no person and no sound model writes so. */
function isSalad(text: string): boolean {
  if (text.length < 80 || !/[^\p{ASCII}\p{Script=Latin}]/u.test(text)) return false;
  let changes = 0;
  let words = 0;
  let last = -1;
  const seen = new Set<number>();
  for (const word of text.match(/\p{L}+/gu) ?? []) {
    for (const part of word.match(/\p{Script=Han}+|\p{Script=Latin}+|[^\p{Script=Han}\p{Script=Latin}]+/gu) ?? []) {
      const script = scripts.findIndex((pattern) => pattern.test(part));
      if (script < 0) continue;
      words++;
      seen.add(script);
      if (last >= 0 && script !== last) changes++;
      last = script;
    }
  }
  return words >= 16 && seen.size >= 4 && changes > words / 3;
}
