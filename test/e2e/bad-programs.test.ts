/** Programs that misbehave, under the real command: one clear line or a recorded finding, never a crash, and nothing left behind. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { listProcesses, processesWithEnv, signalProcess } from "../../src/host/processes.ts";
import type { TrainDocument } from "../../src/journal/select.ts";
import { readJournal } from "../../src/store/journal-file.ts";
import { start, temporaryFolder } from "./command.ts";

interface Given {
  readonly script: string;
  readonly program?: object;
  readonly workers?: number;
  readonly failover?: object;
}

/** A run file that starts `script` with bash, in `folder`. */
function write(folder: string, { script, program = {}, workers = 1, failover = {} }: Given): void {
  writeFileSync(join(folder, "job.sh"), script);
  const file = {
    name: "job",
    program: { command: ["bash", "job.sh"], adapter: "plain", ...program },
    pools: [{ name: "here", workers }],
    // A busy machine must not look like a hang.
    failover: { stopGraceSeconds: 0.5, hangSeconds: 60, ...failover },
  };
  writeFileSync(join(folder, "run.yaml"), stringify(file));
}

async function train(folder: string) {
  const { code, stdout, stderr } = await start(["train", "run.yaml", "--json"], { cwd: folder }).finished;
  const { events, state } = readJournal(join(folder, "runs/job/journal.jsonl"));
  const notes = events.flatMap((event) => (event.type === "noted" ? [event.data] : []));
  return { code, stderr, document: JSON.parse(stdout) as TrainDocument, events, state, notes };
}

/** Of no attempt in `folder` anything lives. */
function expectNothingLives(folder: string): void {
  const attempts = join(folder, "runs/job/attempts");
  for (const epoch of readdirSync(attempts)) {
    expect(processesWithEnv("DUALGAUGE_ATTEMPT", join(attempts, epoch))).toEqual([]);
  }
  const ours = listProcesses().filter(({ commandLine }) => commandLine.some((part) => part.startsWith(folder)));
  expect(ours).toEqual([]);
}

const three = "for i in 1 2 3; do echo step $i/3 loss $i.5; sleep 0.05; done";

test("a program that shows steps and ends is a finished run, with its figures in the journal", async () => {
  using folder = temporaryFolder();
  write(folder.path, { script: three, program: { env: { FROM_RUN_FILE: "yes" } } });
  const { code, document, state, events } = await train(folder.path);
  expect(code).toBe(0);
  expect(document).toMatchObject({
    state: "finished",
    steps: 3,
    attempts: 1,
    finalLoss: 3.5,
    faults: [],
    checkpoint: null,
  });
  expect(state.created).toMatchObject({ steps: 0, pools: [{ emulated: false }] });
  expect(events.flatMap((event) => (event.type === "progress" ? event.data.steps : [])).reduce((a, b) => a + b)).toBe(
    3,
  );
  expectNothingLives(folder.path);
});

test("torchelastic's environment, per rank and per node; the run file's own after it", async () => {
  using folder = temporaryFolder();
  const script =
    'echo "$RANK $LOCAL_RANK $GROUP_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $TORCHELASTIC_RUN_ID $MINE"';
  write(folder.path, { script, workers: 2, program: { workersPerNode: 2, env: { MINE: "m", RANK: "9" } } });
  const { code, state } = await train(folder.path);
  expect(code).toBe(0);
  expect(state.attempt?.nodes).toEqual(["here-0", "here-0", "here-1", "here-1"]);
  const said = [0, 1, 2, 3].map((rank) =>
    readFileSync(join(folder.path, `runs/job/attempts/1/rank-${rank}.log`), "utf8"),
  );
  expect(said).toEqual([0, 1, 2, 3].map((rank) => `${rank} ${rank % 2} ${rank >> 1} 4 2 127.0.0.1 job m\n`));
});

test("one that ends before its last step, with 0 every time, ends with reasons and no endless restarts", async () => {
  using folder = temporaryFolder();
  write(folder.path, { script: three, program: { steps: 9 } });
  const { code, document } = await train(folder.path);
  expect(code).toBe(1);
  expect(document.faults[0]).toMatchObject({ kind: "process-exit", category: "instability" });
  expect(document.attempts).toBeLessThan(10);
  expectNothingLives(folder.path);
});

test("the same exception twice asks a person to mend the job", async () => {
  using folder = temporaryFolder();
  const script = `${three}; echo 'Traceback (most recent call last):' >&2; echo "ValueError: bad value at 0x$RANDOM" >&2; exit 1`;
  write(folder.path, { script, program: { steps: 9 } });
  const { code, document } = await train(folder.path);
  expect(code).toBe(1);
  expect(document.attempts).toBe(2);
  expect(document.faults.map(({ action }) => action)).toEqual(["restart", "fix-job"]);
  expect(document.reasons[0]).toMatch(/ValueError twice at the same step.*mend the job/);
  expect(document.faults[1]?.evidence.join()).toContain("ValueError: bad value");
});

test("one that forks away is found by its environment, told, and ended", async () => {
  using folder = temporaryFolder();
  const script =
    "setsid -f bash -c 'setsid -f sleep 1000 </dev/null >/dev/null 2>&1' </dev/null >/dev/null 2>&1; exit 0";
  write(folder.path, { script, failover: { maxAttempts: 2 } });
  const { code, document, notes } = await train(folder.path);
  expect(code).toBe(1);
  expect(notes[0]).toMatchObject({ what: "processes left behind", count: 1 });
  expect(document.faults[0]?.why).toMatch(/forked away/);
  expectNothingLives(folder.path);
});

test("one that closes its output, ignores SIGTERM and leaves children is stopped all the same", async () => {
  using folder = temporaryFolder();
  const script =
    "trap '' TERM; echo step 1 loss 1; (trap '' TERM; sleep 1000) & exec >&- 2>&-; while :; do sleep 1; done";
  write(folder.path, { script });
  const running = start(["train", "run.yaml"], { cwd: folder.path });
  const journal = join(folder.path, "runs/job/journal.jsonl");
  await until(() => existsSync(journal) && readJournal(journal).state.step === 1);
  running.process.kill("SIGTERM");
  expect((await running.finished).code).toBe(130);
  expect(readJournal(journal).state.phase).toBe("interrupted");
  expectNothingLives(folder.path);
});

test("onSupervisorStop detach: SIGTERM leaves the workers alone, and the same command takes them over", async () => {
  using folder = temporaryFolder();
  const script =
    "for i in $(seq 1 200); do echo step $i loss 1; [ -e go ] || sleep 0.05; done; while [ ! -e go ]; do sleep 0.1; done; echo step 201 loss 1";
  write(folder.path, { script, failover: { onSupervisorStop: "detach" } });
  const journal = join(folder.path, "runs/job/journal.jsonl");
  const first = start(["train", "run.yaml"], { cwd: folder.path });
  await until(() => existsSync(journal) && readJournal(journal).state.step >= 3);
  first.process.kill("SIGTERM");
  expect((await first.finished).code).toBe(130);
  const detached = readJournal(journal).state;
  expect(detached.phase).toBe("training");
  expect(processesWithEnv("DUALGAUGE_ATTEMPT", join(folder.path, "runs/job/attempts/1")).length).toBeGreaterThan(0);
  writeFileSync(join(folder.path, "go"), "");
  const { code, document, events } = await train(folder.path);
  expect(code).toBe(0);
  expect(document).toMatchObject({ attempts: 1, steps: 201, faults: [] });
  expect(events.some(({ type }) => type === "adopted") || events.some(({ type }) => type === "completed")).toBe(true);
  expect(events.reduce((sum, event) => sum + (event.type === "progress" ? event.data.steps : 0), 0)).toBe(201);
});

test("a line of 1 GB, bytes that are no text and a flood hurt neither the journal nor the disk", async () => {
  using folder = temporaryFolder();
  const script = [
    "echo step 1/3 loss 1",
    "head -c 1000000000 /dev/zero | tr '\\0' x; echo",
    "printf '\\xff\\xfe step 2/3 \\x00 loss 2\\n'; head -c 300000 /dev/urandom; echo",
    "sleep 0.3; echo step 2/3 loss 2",
    "yes 'error: CUDA out of memory, said the training data' | head -c 400000000",
    "sleep 0.3; echo step 3/3 loss 3",
  ].join("\n");
  write(folder.path, { script });
  const { code, document, notes } = await train(folder.path);
  expect(code).toBe(0);
  expect(document).toMatchObject({ steps: 3, attempts: 1, faults: [] });
  expect(notes.map(({ what }) => what)).toContain("log flood");
  expect(notes.length).toBeLessThan(30);
  const kept = readdirSync(join(folder.path, "runs/job/attempts/1")).filter((name) => /^rank-0\.log/.test(name));
  for (const name of kept)
    expect(statSync(join(folder.path, "runs/job/attempts/1", name)).size).toBeLessThanOrEqual(16 << 20);
});

test("hostile events are notes: unknown version, huge numbers, prototype keys, other ranks", async () => {
  using folder = temporaryFolder();
  const header = '"run":"job","epoch":1,"rank":0';
  const lines = [
    ...["not json", `{"v":9,${header},"seq":1,"ev":"step","step":1,"seconds":1}`],
    `{"v":1,${header},"seq":1,"ev":"step","step":1e308,"seconds":1}`,
    `{"__proto__":{"polluted":1},"constructor":{},"v":1,${header},"seq":1,"ev":"hello","pid":1}`,
    `{"v":1,"run":"job","epoch":1,"rank":70000,"seq":1,"ev":"step","step":5,"seconds":1}`,
    `{"v":1,${header},"seq":2,"ev":"checkpoint","step":99,"tier":"disk","path":"/etc","seconds":0}`,
    `{"v":1,${header},"seq":3,"ev":"bye","reason":"finished","step":99}`,
    `{"v":1,${header},"seq":4,"ev":"injected","fault":"x","kind":"crash","step":1}`,
    `{"v":1,${header},"seq":5,"ev":"step","step":1,"seconds":0.5,"loss":2.5,"tokens":64}`,
  ];
  const script = `cat >> "$DUALGAUGE_EVENTS" <<'END'\n${lines.join("\n")}\nEND\nhead -c 100000 /dev/urandom >> "$DUALGAUGE_EVENTS"; sleep 0.3`;
  write(folder.path, { script });
  const { code, document, notes, state } = await train(folder.path);
  expect(code).toBe(0);
  expect(document).toMatchObject({ steps: 1, faults: [], checkpoint: null, finalLoss: 2.5 });
  expect(state.published).toBe(false);
  expect(new Set(notes.map(({ what }) => what))).toEqual(
    new Set(["malformed event", "event of somebody else", "event that only an emulated pool may write"]),
  );
});

test("an agent that is killed: its ranks are ended, what they printed is kept, the run goes on", async () => {
  using folder = temporaryFolder();
  const script =
    "[ $TORCHELASTIC_RESTART_COUNT = 1 ] && exec bash -c 'echo step 9 loss 1'; i=0; while :; do echo step $((++i)) loss 1; sleep 0.1; done";
  write(folder.path, { script });
  const running = start(["train", "run.yaml", "--json"], { cwd: folder.path });
  const journal = join(folder.path, "runs/job/journal.jsonl");
  await until(() => existsSync(journal) && readJournal(journal).state.step >= 2);
  const agent = readJournal(journal).state.attempt?.agent;
  expect(agent && signalProcess(agent, "SIGKILL")).toBe(true);
  const { code, stdout } = await running.finished;
  expect(code).toBe(0);
  expect((JSON.parse(stdout) as TrainDocument).faults).toMatchObject([{ kind: "agent-lost", action: "restart" }]);
  expect(readFileSync(join(folder.path, "runs/job/attempts/1/rank-0.log"), "utf8")).toContain("step 2 loss 1");
  expectNothingLives(folder.path);
});

test("a program with the two lines of the protocol is held to hangSeconds, and its heartbeats fool nobody", async ({
  skip,
}) => {
  if (spawnSync("python3", ["-c", ""]).status !== 0) return skip("no python3 on this machine");
  using folder = temporaryFolder();
  const client = resolve(import.meta.dirname, "../../examples/pytorch-ddp");
  const program = [
    "import os, time",
    "from dualgauge_events import events",
    "for step in range(1, 21):",
    "    time.sleep(0.05)",
    "    if step == 12 and os.environ['DUALGAUGE_EPOCH'] == '1': time.sleep(1000)",
    "    events.step(step, seconds=0.05, loss=1 / step, tokens=10)",
  ];
  writeFileSync(join(folder.path, "job.py"), program.join("\n"));
  const env = { PYTHONPATH: client, PYTHONDONTWRITEBYTECODE: "1" };
  write(folder.path, { script: "exec python3 job.py", program: { steps: 20, env }, failover: { hangSeconds: 1 } });
  const { code, document, state } = await train(folder.path);
  expect(code).toBe(0);
  expect(document).toMatchObject({ steps: 20, attempts: 2, finalLoss: 0.05 });
  expect(document.faults).toMatchObject([{ kind: "hang", rank: 0, step: 12, action: "restart" }]);
  expect(state.tokens).toBe(200);
});

describe("refused before anything is started, in one line", () => {
  const refused = async (folder: string, message: RegExp, verbs = ["check"]): Promise<void> => {
    for (const verb of verbs) {
      const { code, stderr, stdout } = await start([verb, "run.yaml"], { cwd: folder }).finished;
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      expect([code, stdout]).toEqual([2, ""]);
      expect(existsSync(join(folder, "runs"))).toBe(false);
    }
  };
  const cases: readonly (readonly [string, object, RegExp])[] = [
    [
      "a program that does not exist",
      { command: ["no-such-program-here"] },
      /program\.command: no-such-program-here is not on PATH; install/,
    ],
    ["a path that does not exist", { command: ["./nowhere.sh"] }, /\.\/nowhere\.sh does not exist; name a program/],
    ["a file that cannot be executed", { command: ["./job.sh"] }, /job\.sh cannot be executed; make it/],
    [
      "a checkpoint folder below a file",
      { checkpoint: { dir: "job.sh/x", format: "dcp" } },
      /checkpoint\.dir: job\.sh\/x is a file or lies below/,
    ],
    [
      "an unknown adapter, naming the nearest",
      { adapter: "megatorn" },
      /run\.yaml:\d+ program\.adapter: "megatorn" is unknown; did you mean megatron\?/,
    ],
    ["an unknown key, naming the nearest", { comand: ["x"] }, /program\.comand: unknown key; did you mean command\?/],
    ["a variable that is none", { env: { "A=B": "x" } }, /program\.env/],
  ];
  test.each(cases)("%s", async (_, program, message) => {
    using folder = temporaryFolder();
    write(folder.path, { script: "true", program });
    chmodSync(join(folder.path, "job.sh"), 0o644);
    await refused(folder.path, message, message === cases[0]?.[2] ? ["check", "train"] : undefined);
  });
  test("a program and a model in one file, and neither", async () => {
    using folder = temporaryFolder();
    write(folder.path, { script: "true" });
    const text = readFileSync(join(folder.path, "run.yaml"), "utf8");
    writeFileSync(join(folder.path, "run.yaml"), `${text}data: { text: { files: [x] } }\n`);
    await refused(folder.path, /run\.yaml:\d+ data: does not go with program; leave out one/);
    writeFileSync(join(folder.path, "run.yaml"), "name: job\npools: [{ name: here, workers: 1 }]\n");
    const { stderr } = await start(["check", "run.yaml"], { cwd: folder.path }).finished;
    expect(stderr).toMatch(/model: is missing; give an object, or give program instead/);
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (const patience = Date.now() + 30_000; !holds(); await new Promise((wake) => setTimeout(wake, 20))) {
    if (Date.now() > patience) throw new Error("30 s without what was awaited");
  }
}
