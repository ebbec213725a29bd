/** The plan verbs as typed: the answer first, one JSON document, one line for every slip. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { describe, expect, test, vi } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { register as registerCatalog } from "./catalog.ts";
import { register as registerPlan } from "./plan.ts";

/** stdout of a command line, or the error that it ended in. */
async function typed(...argv: string[]): Promise<{ out: string; error: unknown }> {
  const program = new Command("dualgauge").exitOverride();
  registerPlan(program);
  registerCatalog(program);
  let out = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const complain = vi.spyOn(process.stderr, "write").mockImplementation(() => true);
  try {
    await program.parseAsync(argv, { from: "user" });
    return { out, error: undefined };
  } catch (error) {
    return { out, error };
  } finally {
    write.mockRestore();
    complain.mockRestore();
  }
}

const train = [
  "plan",
  "train",
  "--model",
  "deepseek-v3",
  "--accelerator",
  "h800-sxm",
  "--devices",
  "2048",
  "--tokens",
  "14.8e12",
];
const folder = mkdtempSync(join(tmpdir(), "plan-"));

function saved(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

describe("plan train", () => {
  test("answers in its first line, with tables that fit 100 columns", async () => {
    const { out } = await typed(...train, "--global-batch", "15360", "--precision", "fp8", "--deadline", "60");
    const lines = out.split("\n");
    expect(out.slice(0, out.indexOf("\n\n")).replaceAll("\n ", "")).toMatch(
      /^finishes in .* days with 80 % probability; .* chance to meet the deadline of 60 days; .* lost to failures$/,
    );
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(out).toMatch(/runner-up/);
    expect(out).toMatch(/refused/);
  });
  test("keeps its JSON contract", async () => {
    const { out } = await typed(
      ...train,
      "--global-batch",
      "15360",
      "--json",
      "--deadline",
      "90",
      "--dollars-per-device-hour",
      "2",
    );
    const plan = JSON.parse(out);
    expect(Object.keys(plan)).toEqual(
      expect.arrayContaining(["answer", "best", "alternatives", "rejected", "evaluated", "seconds"]),
    );
    expect(Object.keys(plan.best)).toEqual(
      expect.arrayContaining([
        ...[
          "layout",
          "stepSeconds",
          "parts",
          "tokensPerSecondPerDevice",
          "mfu",
          "hfu",
          "memoryBytesPerDevice",
          "memoryParts",
          "days",
        ],
        ...["deviceHours", "cost", "goodput", "failuresExpected", "probabilityByDeadline", "accuracy"],
      ]),
    );
    expect(Object.keys(plan.best.layout).sort()).toEqual([
      "cp",
      "dp",
      "ep",
      "microBatch",
      "pp",
      "recompute",
      "schedule",
      "tp",
      "vpp",
      "zero",
    ]);
    expect(plan.best.accuracy.basis).toMatch(/polated$/);
    expect(plan.best.accuracy.nearest.length).toBeGreaterThan(0);
    expect(plan.best.days.p10).toBeLessThan(plan.best.days.p90);
    expect(plan.best.memoryByStage).toHaveLength(plan.best.layout.pp);
    expect(Math.max(...plan.best.memoryByStage.map((stage: { total: number }) => stage.total))).toBe(
      plan.best.memoryBytesPerDevice,
    );
    expect(plan.best.cost).toBeCloseTo(plan.best.deviceHours * 2, 6);
  });
  test("evaluates one layout, and two plans differ", async () => {
    const one = await typed(
      ...train,
      "--global-batch",
      "15360",
      "--precision",
      "fp8",
      "--layout",
      "tp=1,pp=16,ep=64,recompute=full",
      "--json",
    );
    const other = await typed(
      ...train,
      "--global-batch",
      "15360",
      "--precision",
      "bf16",
      "--layout",
      "tp=1,pp=16,ep=64,recompute=full",
      "--json",
    );
    expect(JSON.parse(one.out).best.layout.dp).toBe(128);
    const { out } = await typed("plan", "diff", saved("a.json", one.out), saved("b.json", other.out), "--json");
    expect(JSON.parse(out).differences.map(({ path }: { path: string }) => path)).toContain("best.stepSeconds");
  });
  test("emits a command line", async () => {
    const { out } = await typed(
      ...train,
      "--global-batch",
      "15360",
      "--layout",
      "tp=1,pp=16,ep=64,recompute=full",
      "--emit",
      "megatron",
    );
    expect(out).toContain("--expert-model-parallel-size 64");
  });
});

describe("slips are refused in one line", () => {
  const swap = (name: string, value: string): string[] =>
    train.map((word, i) => (train[i - 1] === name ? value : word));
  const config = saved("deep.json", "[".repeat(50_000));
  test.each<[string, string[], RegExp]>([
    ["an unknown accelerator", swap("--accelerator", "h800-smx"), /did you mean h800-sxm/],
    ["an unknown model", swap("--model", "deepsek-v3"), /did you mean deepseek-v3/],
    ["no devices", swap("--devices", "0"), /--devices/],
    ["fewer than none", swap("--devices", "-8"), /--devices/],
    ["not a number", swap("--devices", "NaN"), /--devices/],
    ["10^12 devices", swap("--devices", "1e12"), /--devices/],
    ["infinite tokens", swap("--tokens", "Infinity"), /--tokens/],
    ["half a device", swap("--devices", "1.5"), /--devices/],
    ["a missing file", swap("--model", "./none.json"), /no file/],
    ["a hostile file", swap("--model", config), /nested deeper/],
    ["an impossible layout", [...train, "--layout", "tp=3"], /--layout: .*devices/],
    ["an unknown layout key", [...train, "--layout", "tpp=8"], /did you mean tp/],
    ["a layout without room", [...train, "--global-batch", "16384", "--layout", "tp=1,pp=1,dp=2048"], /GiB/],
    ["an unknown precision", [...train, "--precision", "fp9"], /--precision/],
    ["a chip without the format", [...swap("--accelerator", "ascend-910b3"), "--precision", "fp8"], /no published fp8/],
    ["an unknown schedule", [...train, "--schedule", "1f1bb"], /did you mean 1f1b/],
    ["an unknown reliability", [...train, "--reliability", "nobody"], /reliability/],
    ["fewer spares than none", [...train, "--spares", "-1"], /--spares/],
    ["a repair in no time known", [...train, "--repair-days", "NaN"], /--repair-days/],
    [
      "alternatives to one layout",
      [...train, "--layout", "tp=1,pp=16,ep=64", "--alternatives", "-1"],
      /--alternatives/,
    ],
    ["a negative price", [...train, "--dollars-per-device-hour", "-1"], /--dollars-per-device-hour/],
    ["an unknown subcommand", ["plan", "trian"], /did you mean train/],
    ["runs that are not JSON", ["plan", "validate", saved("bad.json", "{")], /not JSON/],
    ["runs that are no list", ["plan", "validate", saved("object.json", "{}")], /neither/],
  ])("%s", async (_, argv, pattern) => {
    const { error } = await typed(...argv);
    expect(error).toBeInstanceOf(BadInput);
    if (!(error instanceof BadInput)) return;
    expect(error.message).toMatch(pattern);
    for (const problem of error.problems) expect(problem).not.toContain("\n");
  });
  test("a missing option", async () => {
    expect((await typed("plan", "train")).error).toBeInstanceOf(CommanderError);
  });
});

describe("plan validate", () => {
  const row = {
    id: "nobody-has-published-this",
    model: {
      name: "Llama-3.1-70B",
      layers: 80,
      hidden: 8192,
      ffn: 28672,
      heads: 64,
      kv_heads: 8,
      head_dim: 128,
      vocab: 128256,
      seq_len: 4096,
      moe: null,
      mla: null,
    },
    accelerator: "h100-sxm",
    num_devices: 128,
    parallelism: { tp: 4, pp: 4, dp: 8, cp: 1, zero_stage: 1 },
    micro_batch: 1,
    global_batch: 256,
    precision: "bf16",
    recompute: null,
    measured: { step_time_s: 10 },
    family: "test",
  };
  test("scores rows, names reasons, adds up", async () => {
    const unknown = { ...row, id: "x", model: { name: "Nobody-9B" } };
    const { out } = await typed(
      "plan",
      "validate",
      saved("runs.json", JSON.stringify({ runs: [row, unknown, 7] })),
      "--json",
    );
    const { rows, summary } = JSON.parse(out);
    expect(rows[0].error).toBeCloseTo(Math.abs(rows[0].predicted - 10) / 10, 9);
    expect(rows[0].basis).toMatch(/polated$/);
    expect(rows[1].reason).toMatch(/Nobody-9B/);
    expect(rows[2].reason).toBeTruthy();
    expect(summary).toMatchObject({ count: 3, unpredicted: 2 });
    expect(summary.byFamily.test.count).toBe(1);
  });
  test("does not look at the measurement when a field is unknown", async () => {
    const open = { ...row, micro_batch: null, parallelism: { tp: 4 } };
    const twice = { ...open, measured: { step_time_s: 20 } };
    const { out } = await typed("plan", "validate", saved("open.json", JSON.stringify([open, twice])), "--json");
    const { rows } = JSON.parse(out);
    expect(rows[0].predicted).toBe(rows[1].predicted);
    expect(rows[0].range[0]).toBeLessThan(rows[0].range[1]);
  });
});

test("catalog lists ids with sources", async () => {
  const accelerators = JSON.parse((await typed("catalog", "accelerators", "--json")).out);
  expect(accelerators.find(({ id }: { id: string }) => id === "h800-sxm").source).toBeTruthy();
  const models = JSON.parse((await typed("catalog", "models", "--json")).out);
  expect(models.find(({ id }: { id: string }) => id === "deepseek-v3").parameters.total).toBe(671_026_419_200);
  expect((await typed("catalog", "accelerators")).out.split("\n").every((line) => line.length <= 100)).toBe(true);
});
