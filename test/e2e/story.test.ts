/** `dualgauge run`, small: through faults over two pools, to an export that answers; again, anew, interrupted and killed. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { columns } from "../../src/cli/render/layout.ts";
import { dualgauge, type Finished, type Running, start, temporaryFolder } from "./command.ts";
import { leftovers, nothing } from "./leftovers.ts";
import { tinyRun } from "./tiny-run.ts";

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const dirOf = (name: string): string => join(folder.path, name);

/** Writes a run file whose first pool suffers `faults`; gives its path. */
function runFile(
  name: string,
  { steps, faults = [], failover = {} }: { steps: number; faults?: object[]; failover?: object },
): string {
  writeFileSync(
    join(folder.path, "text.txt"),
    "It was the whiteness of the whale that above all things appalled me. ".repeat(80),
  );
  const run = tinyRun({ files: ["text.txt"], steps });
  run.pools[0]!.emulate.faults = faults.map((fault) => ({ ...fault }));
  const path = join(folder.path, `${name}.yaml`);
  writeFileSync(path, stringify({ ...run, name, failover, serve: { prompt: "It was ", maxTokens: 24 } }));
  return path;
}

interface TrainDocument {
  state: string;
  steps: number;
  failovers: number;
  lostSteps: number;
  weightsSha256: string;
  faults: { kind: string; fired: boolean; action: string; detectedBy: string; recoverSeconds: number }[];
}
const trainOf = (finished: Finished): TrainDocument => JSON.parse(finished.stdout);

/** Resolves when the command has said something that matches, or has ended. */
async function until(running: Running, pattern: RegExp): Promise<void> {
  const said = new Promise<void>((resolve) => {
    const look = (): void => {
      if (pattern.test(running.text())) resolve();
    };
    running.process.stdout?.on("data", look);
    running.process.stderr?.on("data", look);
  });
  await Promise.race([said, running.finished]);
  expect(running.text()).toMatch(pattern);
}

let undisturbed: string;
beforeAll(async () => {
  const calm = await dualgauge("train", runFile("calm", { steps: 12 }), "--dir", dirOf("calm"), "--json");
  expect(calm.stderr + calm.stdout).toContain('"finished"');
  undisturbed = trainOf(calm).weightsSha256;
}, 120_000);

describe("the story", () => {
  const faults = [
    { kind: "nan", rank: 0, step: 3 },
    { kind: "crash", rank: 1, step: 5 },
    { kind: "exit", rank: 0, step: 8 },
  ];
  const file = () =>
    runFile("story", { steps: 12, faults, failover: { maxFaultsPerPool: 1, maxFaultsPerProductiveHour: 1e6 } });
  const dir = dirOf("story");

  test("is told from the fleet to the text, in lines of at most 100 columns", { timeout: 180_000 }, async () => {
    const { code, stdout, stderr } = await dualgauge("run", file(), "--dir", dir);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const order = [
      /alpha +2 workers \+ 1 spare, ascend emulated on CPU; first choice/,
      /1\. train/,
      /attempt 1 on pool alpha \(ascend, emulated on CPU\)/,
      /fault 0: nan at alpha-0, step 3\n +seen .*\n[\s\S]*? +concluded [\s\S]*? +done +retry[\s\S]*? +cost /,
      /fault 1: process-signal at alpha-1, step 5/,
      /fault 1 is over: cost \d.* s, 0 steps lost/,
      /done +fail-over: the run leaves pool alpha for pool beta\n +because [\s\S]* +evidence /,
      /attempt 3 on pool beta \(nvidia, emulated on CPU\)/,
      /finished 12 steps on pool beta in /,
      /learned +validation loss \d/,
      /2\. port to the alpha gauge/,
      /3\. compare[\s\S]*verdict +within tolerance/,
      /4\. serve[\s\S]*POST http:\/\/127\.0\.0\.1:\d+\/v1\/completions/,
      /│ It was /,
      /where everything lies[\s\S]*checkpoint +.*step-00000012[\s\S]*export +.*export/,
    ];
    let rest = stdout;
    for (const pattern of order) {
      expect(rest).toMatch(pattern);
      rest = rest.slice(rest.search(pattern));
    }
    for (const row of stdout.split("\n")) expect(row.length, row).toBeLessThanOrEqual(columns);
    expect(leftovers("story", dir)).toEqual(nothing);
  });

  test("has the weights of a run that nothing disturbed", async () => {
    const again = await dualgauge("train", file(), "--dir", dir, "--json");
    expect(again.code).toBe(0);
    expect(again.stderr).toContain("is finished already");
    expect(trainOf(again)).toMatchObject({
      state: "finished",
      steps: 12,
      lostSteps: 0,
      failovers: 1,
      weightsSha256: undisturbed,
    });
    expect(trainOf(again).faults.map(({ kind, fired, action }) => [kind, fired, action])).toEqual([
      ["nan", true, "retry"],
      ["crash", true, "restart"],
      ["exit", true, "fail-over"],
    ]);
  });

  test("told again trains nothing and answers the same; --fresh starts anew", { timeout: 180_000 }, async () => {
    const before = readFileSync(join(dir, "journal.jsonl"));
    const again = await dualgauge("run", file(), "--dir", dir, "--json");
    const document: { train: TrainDocument; answer: { text: string }; port: { isNew: boolean } } = JSON.parse(
      again.stdout,
    );
    expect(readFileSync(join(dir, "journal.jsonl"))).toEqual(before);
    expect(document.port.isNew).toBe(false);
    const anew = await dualgauge("run", file(), "--dir", dir, "--json", "--fresh");
    const fresh: typeof document = JSON.parse(anew.stdout);
    expect(readFileSync(join(dir, "journal.jsonl"))).not.toEqual(before);
    expect(fresh.answer.text).toBe(document.answer.text);
    expect(fresh.train.weightsSha256).toBe(undisturbed);
  });

  test("status and events agree with it", async () => {
    const status = JSON.parse((await dualgauge("status", dir, "--json")).stdout);
    expect(status).toMatchObject({
      state: "finished",
      step: 12,
      attempt: 3,
      pool: "beta",
      supervisor: null,
      workers: [],
    });
    const { events } = JSON.parse((await dualgauge("events", dir, "--json")).stdout);
    expect(events.at(-1)).toMatchObject({ type: "supervisor-stopped" });
    const followed = await dualgauge("events", dir, "--follow", "--json");
    expect(
      followed.stdout
        .trimEnd()
        .split("\n")
        .map((row) => JSON.parse(row).seq),
    ).toEqual(events.map(({ seq }: { seq: number }) => seq));
  });

  test("the run's directory serves its export to the real client, on a port that a second one cannot have", {
    timeout: 60_000,
  }, async () => {
    const serving = start(["serve", dir, "--port", "0", "--json"]);
    await until(serving, /\}\n/);
    const { url, model, path } = JSON.parse(serving.text());
    expect(path).toBe(join(dir, "export"));
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const ask = { model, prompt: "It was ", max_tokens: 12, temperature: 0, logprobs: 3 };
    const whole = await client.completions.create(ask);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...ask, stream: true }))
      streamed += chunk.choices[0]?.text ?? "";
    expect(streamed).toBe(whole.choices[0]?.text);
    expect(whole.usage?.completion_tokens).toBe(12);
    expect(whole.choices[0]?.logprobs?.top_logprobs?.[0]).toSatisfy((top: object) => Object.keys(top).length === 3);
    const second = await dualgauge("serve", dir, "--port", new URL(url).port);
    expect(second).toMatchObject({ code: 2, stdout: "" });
    expect(second.stderr).toMatch(/^dualgauge: --port \d+: another program listens there; choose another[^\n]*\n$/);
    serving.process.kill("SIGTERM");
    expect((await serving.finished).code).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });
});

/** Keeps a run of this size busy for long enough to be interrupted. */
const sluggish = { kind: "slow", rank: 0, step: 3, factor: 120, steps: 6 };
/** A slow rank is left alone, on a loaded machine too. */
const patient = { hangSeconds: 600, stragglerFactor: 100_000 };

test("a run that exhausts its ceiling fails with reasons, exit 1, and leaves nothing alive", {
  timeout: 120_000,
}, async () => {
  const dir = dirOf("doomed");
  const faults = [{ kind: "exit", rank: 0, step: 2, times: 50 }];
  const file = runFile("doomed", {
    steps: 4,
    faults,
    failover: { order: ["alpha"], maxFaultsPerRoot: 1, maxFaultsPerProductiveHour: 1e6 },
  });
  const { code, stdout } = await dualgauge("train", file, "--dir", dir);
  expect(stdout).toMatch(/failed at step \d on pool alpha[\s\S]*because/);
  expect(code).toBe(1);
  expect(leftovers("doomed", dir)).toEqual(nothing);
});

test("Ctrl-C ends in order, and the same command goes on to the same weights", { timeout: 120_000 }, async () => {
  const dir = dirOf("interrupted");
  const file = runFile("interrupted", { steps: 12, faults: [sluggish], failover: patient });
  const running = start(["train", file, "--dir", dir]);
  await until(running, /step +3\/12/);
  running.process.kill("SIGINT");
  const { code, stdout } = await running.finished;
  expect(code).toBe(130);
  expect(stdout).toMatch(/stopped by SIGINT at step \d+; the same command goes on from there/);
  const left = leftovers("interrupted", dir);
  expect(left.processes).toEqual([]);
  expect(left.temporary).toEqual([]);
  const again = await dualgauge("train", file, "--dir", dir, "--json");
  expect(trainOf(again)).toMatchObject({ state: "finished", lostSteps: 0, weightsSha256: undisturbed });
  expect(leftovers("interrupted", dir)).toEqual(nothing);
});

test("a supervisor killed with -9 loses nothing: status says so, the same command adopts the workers", {
  timeout: 120_000,
}, async () => {
  const dir = dirOf("killed");
  const file = runFile("killed", { steps: 12, faults: [sluggish], failover: patient });
  const running = start(["train", file, "--dir", dir]);
  await until(running, /step +3\/12/);
  running.process.kill("SIGKILL");
  await running.finished;
  const status = JSON.parse((await dualgauge("status", dir, "--json")).stdout);
  expect(status).toMatchObject({ supervisor: null, pool: "alpha" });
  const again = await dualgauge("train", file, "--dir", dir, "--json");
  expect(trainOf(again)).toMatchObject({ state: "finished", lostSteps: 0, weightsSha256: undisturbed });
  expect(again.stderr).toMatch(/attempt 1 is still alive: took its workers over at step \d/);
  expect(leftovers("killed", dir)).toEqual(nothing);
});

test("another run's directory is refused, and nothing in it is changed", async () => {
  const dir = dirOf("calm");
  const before = readFileSync(join(dir, "journal.jsonl"));
  const { code, stderr } = await dualgauge("train", runFile("other", { steps: 3 }), "--dir", dir);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^dualgauge: [^\n]*calm: holds run calm; choose another --dir[^\n]*\n$/);
  expect(readFileSync(join(dir, "journal.jsonl"))).toEqual(before);
  expect(existsSync(join(dir, "lease"))).toBe(false);
});

test("a corrupted checkpoint is refused by name, and nothing is written", async () => {
  const copy = join(folder.path, "corrupt");
  cpSync(join(dirOf("calm"), "checkpoints", "step-00000012"), copy, { recursive: true });
  const weights = join(copy, "weights.safetensors");
  const bytes = readFileSync(weights);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(weights, bytes);
  const destination = join(folder.path, "never");
  for (const args of [
    ["port", copy, destination],
    ["serve", copy],
  ]) {
    const { code, stdout, stderr } = await dualgauge(...args);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^dualgauge: [^\n]*corrupt: weights\.safetensors: its SHA-256 differs[^\n]*; [^\n]*\n$/);
  }
  expect(readdirSync(folder.path).filter((name) => name.includes("never"))).toEqual([]);
});
