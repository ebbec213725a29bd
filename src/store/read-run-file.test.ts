/** run.yaml is read, or refused with one line per problem: file, line, key, what, how to mend. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { identity } from "./identity.ts";
import { parseRunFile, readRunFile } from "./read-run-file.ts";

const good = `name: demo
model:
  vocab_size: 260
  hidden_size: 64
  intermediate_size: 64
  num_hidden_layers: 1
  num_attention_heads: 2
  kv_lora_rank: 16
  qk_nope_head_dim: 16
  qk_rope_head_dim: 8
  v_head_dim: 16
data:
  text:
    files: [text.txt]
train:
  steps: 10
  globalBatch: 4
  seqLength: 16
  learningRate: 0.001
pools:
  - name: a
    workers: 2
    emulate:
      platform: ascend
      faults:
        - {kind: crash, step: 3, rank: 1}
`;

function problemsOf(text: string): readonly string[] {
  try {
    parseRunFile(text, "run.yaml");
  } catch (error) {
    if (error instanceof BadInput) return error.problems;
    throw error;
  }
  throw new Error("was accepted");
}

describe("a run file", () => {
  test("that is right is accepted with its defaults", () => {
    const file = parseRunFile(good, "run.yaml");
    expect(file.failover.maxFaultsPerRoot).toBe(2);
    expect(file.pools[0]?.emulate.faults[0]).toMatchObject({ kind: "crash", step: 3, rank: 1, times: 1 });
  });

  test.each<[string, string, string]>([
    [
      "an unknown key",
      good.replace("globalBatch", "globalBach"),
      "run.yaml:17 train.globalBach: unknown key; did you mean globalBatch?",
    ],
    [
      "an unknown key in a list",
      good.replace("workers:", "worker:"),
      "run.yaml:22 pools.0.worker: unknown key; did you mean workers?",
    ],
    ["an unknown top key", `${good}fleet: 3\n`, "run.yaml:27 fleet: unknown key"],
    [
      "an unknown fault kind",
      good.replace("kind: crash", "kind: crush"),
      'run.yaml:26 pools.0.emulate.faults.0.kind: "crush" is unknown; did you mean crash?',
    ],
    [
      "steps below 1",
      good.replace("steps: 10", "steps: 0"),
      "run.yaml:16 train.steps: 0: too small: expected number to be >0; change it",
    ],
    ["a missing key", good.replace("  seqLength: 16\n", ""), "run.yaml:15 train.seqLength: is missing; give a number"],
    [
      "a rank that is not there",
      good.replace(", rank: 1", ", rank: 5"),
      "run.yaml:26 pools.0.emulate.faults.0.rank: 5 but the pool has ranks 0 to 1; lower it",
    ],
    ["a YAML syntax error", good.replace("train:", "train: ["), "run.yaml:16:"],
    ["a key given twice", `${good}name: again\n`, "run.yaml:27:1: Map keys must be unique; mend the YAML there"],
  ])("with %s is refused by line", (_, text, expected) => {
    const problems = problemsOf(text);
    expect(
      problems.some((problem) => problem.startsWith(expected)),
      problems.join("\n"),
    ).toBe(true);
    for (const problem of problems) expect(problem).not.toContain("\n");
  });

  test("with several problems has all of them named, in the file's order", () => {
    const problems = problemsOf(
      good.replace("steps: 10", "steps: -1").replace("name: demo", "name: Demo!").replace(", rank: 1", ", rnk: 1"),
    );
    expect(problems.map((problem) => problem.split(":")[1]?.split(" ")[0])).toEqual(["1", "16", "26"]);
  });

  test.each([
    ["", "run.yaml:1"],
    ["- a\n- b\n", "run.yaml:1"],
    ["just words", "run.yaml:1"],
    ["a: &a [*a]\n", "run.yaml"],
  ])("that is no mapping (%j) is refused", (text, start) => {
    expect(problemsOf(text)[0]).toMatch(new RegExp(`^${start}`));
  });

  test("with a bomb of aliases is refused quickly", () => {
    const levels = Array.from(
      { length: 30 },
      (_, level) => `l${level}: &l${level} [${level === 0 ? "x" : `*l${level - 1}, *l${level - 1}`}]`,
    );
    expect(problemsOf(`${levels.join("\n")}\n`).length).toBeGreaterThan(0);
  });
});

describe("reading", () => {
  const root = mkdtempSync(join(tmpdir(), "dualgauge-runfile-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  test("a missing, a binary and a huge file are refused", () => {
    expect(() => readRunFile(join(root, "none.yaml"))).toThrow(/does not exist; `dualgauge init` writes one/);
    writeFileSync(join(root, "binary.yaml"), Buffer.from([0xff, 0xfe, 0x80]));
    expect(() => readRunFile(join(root, "binary.yaml"))).toThrow(/is not UTF-8 text/);
    writeFileSync(join(root, "huge.yaml"), " ".repeat(2 << 20));
    expect(() => readRunFile(join(root, "huge.yaml"))).toThrow(/a run file has at most/);
  });

  test("a directory stands for the run file in it; comments and order do not change whose run it is", () => {
    writeFileSync(join(root, "run.yaml"), good);
    const read = readRunFile(root);
    expect(read.folder).toBe(root);
    const reordered = `# a comment\n${good.replace("  steps: 10\n", "").replace("train:\n", "train:\n  steps: 10\n")}`;
    expect(identity(parseRunFile(reordered, "x"))).toBe(read.identity);
    expect(identity(parseRunFile(good.replace("steps: 10", "steps: 11"), "x"))).not.toBe(read.identity);
  });
});
