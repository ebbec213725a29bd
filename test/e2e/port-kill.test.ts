/** `dualgauge port` killed for real, again and again, ends in the bytes of a run that nobody disturbed. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { smallerShape, writeSyntheticCheckpoint } from "../../src/porting/synthetic-checkpoint.ts";
import { start } from "./command.ts";

let root: string;
let source: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  source = join(root, "source");
  writeSyntheticCheckpoint(
    source,
    { ...smallerShape(32, { layers: 3, experts: 16 }), headDim: 32 },
    { shardBytes: 3e6 },
  );
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Runs to the end, or until `killAt` has appeared under the destination. */
async function run(destination: string, killAt?: string): Promise<number | NodeJS.Signals | null> {
  const running = start(["port", source, destination, "--to", "w8a8-dynamic", "--json", "--threads", "2"]);
  const look = setInterval(() => {
    if (killAt !== undefined && existsSync(join(destination, killAt))) running.process.kill("SIGKILL");
  }, 1);
  const { code, signal, stderr } = await running.finished;
  clearInterval(look);
  if (code !== 0 && signal === null) throw new Error(stderr);
  return signal ?? code;
}

test("kill -9 while it starts, converts and finishes", async () => {
  const whole = join(root, "whole");
  expect(await run(whole)).toBe(0);
  const cut = join(root, "cut");
  const work = join(cut, ".dualgauge-port");
  const first = readdirSync(whole).find((name) => name.startsWith("quant_model_weights-00001")) ?? "";
  for (const moment of [
    "",
    `.dualgauge-port/files/${first}`,
    `.dualgauge-port/${first}.done`,
    "tokenizer_config.json",
  ]) {
    const outcome = await run(cut, moment);
    expect([0, "SIGKILL"]).toContain(outcome);
    if (outcome === "SIGKILL" && existsSync(work) && moment !== "tokenizer_config.json") {
      expect(readdirSync(cut)).toEqual([".dualgauge-port"]);
    }
  }
  expect(await run(cut)).toBe(0);
  expect(readdirSync(cut).sort()).toEqual(readdirSync(whole).sort());
  for (const name of readdirSync(whole)) {
    expect(Buffer.compare(readFileSync(join(cut, name)), readFileSync(join(whole, name))), name).toBe(0);
  }
}, 300_000);
