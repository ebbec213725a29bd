/** `port` and `compare` as a person runs them: a checkpoint is carried over, proved the same, and a damaged copy is found. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSafetensors } from "../../src/checkpoint/safetensors-file.ts";
import { publishExampleModel } from "../example-model.ts";
import { dualgauge, start, temporaryFolder } from "./command.ts";

test("a run is ported, compared, found the same; a scaled tensor is found different and named", async () => {
  using folder = temporaryFolder();
  const run = join(folder.path, "run");
  const exported = join(run, "export");
  const prompts = join(folder.path, "prompts.txt");
  publishExampleModel(join(run, "checkpoints"));
  writeFileSync(prompts, "Call me Ishmael.\nSome years ago\n");

  const ported = await dualgauge("port", run, exported, "--json");
  expect(ported).toMatchObject({ code: 0 });
  expect(JSON.parse(ported.stdout)).toEqual(JSON.parse(readFileSync(join(exported, "port.json"), "utf8")));

  const compared = await dualgauge("compare", run, exported, "--prompts", prompts, "--tokens", "8");
  expect(compared).toMatchObject({ code: 0 });
  expect(compared.stdout).toMatch(/^within tolerance: B answers as A does/);
  expect(Math.max(...compared.stdout.split("\n").map((text) => text.length))).toBeLessThanOrEqual(100);

  const weights = join(exported, "model.safetensors");
  const { start: header, tensors, close } = openSafetensors(weights);
  close();
  const entry = tensors.get("model.norm.weight")!;
  const bytes = readFileSync(weights);
  for (let at = header + entry.begin; at < header + entry.end; at += 2) {
    // Doubling a bfloat16 adds one to its exponent, which begins at bit 7.
    bytes.writeUInt16LE(bytes.readUInt16LE(at) + 0x80, at);
  }
  writeFileSync(weights, bytes);
  const damaged = await dualgauge("compare", run, exported, "--prompts", prompts, "--tokens", "8", "--json");
  expect(damaged.code).toBe(1);
  const report = JSON.parse(damaged.stdout);
  expect(report.verdict).toBe("different");
  expect(report.cause).toMatchObject({ reason: "scale", module: "model.norm.weight" });
  expect(report.reasons[0]).toBe("scale: model.norm.weight: every value is 2.000 times what it was");
  expect(report.reasons[1]).toContain("model.norm.weight differs most of 1 tensors: relative error 1");
});

test("bad input is one line and exit 2, and nothing is left", async () => {
  using folder = temporaryFolder();
  const checkpoint = publishExampleModel(join(folder.path, "checkpoints"));
  const out = join(folder.path, "out");
  mkdirSync(join(folder.path, "full"));
  writeFileSync(join(folder.path, "full", "x"), "");
  const refused: [string[], RegExp][] = [
    [["port", checkpoint, join(folder.path, "full")], /is not empty/],
    [["port", join(folder.path, "absent"), out], /does not exist/],
    [["port", checkpoint, out, "--to", "int4"], /Allowed choices are bf16, fp32/],
    [["port", checkpoint, out, "--too", "bf16"], /Did you mean --to\?/],
    [["compare", checkpoint, checkpoint], /--prompts/],
    [["compare", checkpoint, checkpoint, "--prompts", join(folder.path, "absent")], /cannot be read/],
    [["compare", checkpoint, checkpoint, "--prompts", "x", "--tokens", "-1"], /whole number from 0/],
    [["compare", checkpoint], /needs two sides/],
    [
      ["compare", checkpoint, "http://127.0.0.1:8", "--prompts", "x", "--b-key-env", "ABSENT_KEY"],
      /ABSENT_KEY: is not set/,
    ],
    [["compare", "--verify", join(folder.path, "absent")], /is no report|cannot be read/],
    [["compare", checkpoint, "--prompts", "x", "--dump", join(folder.path, "x.npz")], /is a \.safetensors file/],
  ];
  const before = readdirSync(folder.path, { recursive: true }).sort();
  for (const [args, why] of refused) {
    const { code, stdout, stderr } = await dualgauge(...args);
    expect([args, code, stdout]).toEqual([args, 2, ""]);
    expect(stderr).toMatch(why);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  }
  expect(readdirSync(folder.path, { recursive: true }).sort()).toEqual(before);
});

test("kill -9 inside a port leaves no complete-looking directory, and the same command then finishes", async () => {
  using folder = temporaryFolder();
  const checkpoint = publishExampleModel(join(folder.path, "checkpoints"));
  const out = join(folder.path, "out");
  const running = start(["port", checkpoint, out]);
  // Killed when the first file is told; on a busy machine the command may end first, and then it must have ended well.
  await new Promise<void>((seen) => running.process.stderr?.once("data", () => seen()));
  running.process.kill("SIGKILL");
  await running.finished;
  if (existsSync(out)) expect(readdirSync(out)).toContain("port.json");
  else expect((await dualgauge("port", checkpoint, out)).code).toBe(0);
  expect(readdirSync(folder.path).sort()).toEqual(["checkpoints", "out"]);
});

test("a run goes to W8A8 in one command, verifies, and is compared with its original through the same engine", async () => {
  using folder = temporaryFolder();
  const run = join(folder.path, "run");
  const [quantized, prompts] = [join(folder.path, "w8a8"), join(folder.path, "prompts.txt")];
  publishExampleModel(join(run, "checkpoints"));
  writeFileSync(prompts, "Call me Ishmael.\n");
  const ported = await dualgauge("port", run, quantized, "--to", "w8a8-dynamic", "--json");
  expect(ported).toMatchObject({ code: 0 });
  expect(JSON.parse(ported.stdout)).toMatchObject({ format: "w8a8-dynamic", source: { kind: "checkpoint" } });
  expect(await dualgauge("port", "--verify", quantized)).toMatchObject({ code: 0 });
  const compared = await dualgauge("compare", run, quantized, "--prompts", prompts, "--tokens", "4", "--json");
  expect([0, 1]).toContain(compared.code);
  expect(["same", "within tolerance", "different"]).toContain(JSON.parse(compared.stdout).verdict);
  const useless = await dualgauge("port", run, join(folder.path, "x"), "--to", "w8a8-dynamic", "--capacity", "8");
  expect([useless.code, useless.stderr]).toEqual([2, expect.stringContaining("add --to onnx")]);
});
