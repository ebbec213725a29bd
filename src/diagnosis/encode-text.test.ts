/** That the characters written down with their codes are what the whole plane says, and all that today's rules need. */
import { expect, test } from "vitest";
import { faultRules } from "../catalog/fault-rules.ts";
import { encodings, knownPairs, pairInPlane } from "./encode-text.ts";

test("every character that is written down has its code of GB 18030", () => {
  for (const [character, pair] of knownPairs()) expect(pairInPlane(character), character).toBe(pair);
});

test("no rule needs the whole plane at start-up", () => {
  const texts = faultRules.flatMap(({ anchors = [], all = [] }) => [...anchors, ...all.flat()]);
  const characters = new Set(
    texts.flatMap((text) => [...text].filter((character) => /[\u4e00-\u9fff]/.test(character))),
  );
  expect([...characters].filter((character) => !knownPairs().has(character))).toEqual([]);
});

test("a text is written in both encodings, and one that GB 18030 has no two bytes for in one", () => {
  expect(encodings("oom")).toHaveLength(1);
  const [utf8, gb] = encodings("内存不足");
  expect(new TextDecoder().decode(utf8)).toBe("内存不足");
  expect(new TextDecoder("gb18030").decode(gb)).toBe("内存不足");
  expect(encodings("😀")).toHaveLength(1);
});
