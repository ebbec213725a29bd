/**
 * A worker that speaks the whole protocol and trains nothing: for tests of agent, launcher and supervisor with real processes.
 * Its "weights" are a chain over all completed steps and its checkpoints are real, so a step left out or doubled shows.
 * Knows: environment, events, exit codes. It is not the embedded engine, and no result of it stands for one.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { checkFence, Fenced } from "../dist/checkpoint/fence.js";
import { publishCheckpoint } from "../dist/checkpoint/publish.js";
import { retain } from "../dist/checkpoint/retain.js";
import { openSafetensors } from "../dist/checkpoint/safetensors-file.js";
import { safetensorsPieces } from "../dist/checkpoint/safetensors-write.js";
import { verifyCheckpoint } from "../dist/checkpoint/verify-checkpoint.js";
import { weightsSha256 } from "../dist/checkpoint/weights-digest.js";

const { RANK, WORLD_SIZE, DUALGAUGE_EVENTS, DUALGAUGE_WORKER_SPEC, DUALGAUGE_EPOCH } = process.env;
const rank = Number(RANK);
const epoch = Number(DUALGAUGE_EPOCH);
const spec = JSON.parse(readFileSync(DUALGAUGE_WORKER_SPEC, "utf8"));
const { train, folders, resume, struck, pool, emulate } = spec;
/** What a test of the fault matrix wants this worker to do; see `Deeds` in test/faults/real/real-run.ts. */
const { FAKE_DEEDS_FILE } = process.env;
const deeds = () => (FAKE_DEEDS_FILE === undefined ? {} : JSON.parse(readFileSync(FAKE_DEEDS_FILE, "utf8")));
/** How long a step takes; a test changes the file while the run goes. */
const { FAKE_PACE_FILE } = process.env;
const paceMilliseconds = () => (FAKE_PACE_FILE === undefined ? 20 : Number(readFileSync(FAKE_PACE_FILE, "utf8")));
const events = openSync(DUALGAUGE_EVENTS, "a");
let seq = 0;
let stopping = false;

function say(event) {
  const monotonicSeconds = Number(process.hrtime.bigint()) / 1e9;
  writeSync(
    events,
    `${JSON.stringify({ v: 1, run: spec.run, epoch, rank, seq: ++seq, monotonicSeconds, ...event })}\n`,
  );
}

function leave(code, reason, rest = {}) {
  say({ ev: "bye", reason, step, ...rest });
  process.exit(code);
}

process.on("SIGTERM", () => {
  stopping = true;
});
// The agent holds the other end of standard input: its end is ours.
process.stdin.on("end", () => process.exit(80)).resume();

const tensor = (bytes) => ({ name: "model.norm.weight", dtype: "F32", shape: [8], bytes });
/** Says when a deed is done, once and durably, so that a test knows that it struck and when. */
function done(deed) {
  const file = openSync(`${FAKE_DEEDS_FILE}.done`, "a");
  writeSync(file, `${JSON.stringify({ deed, rank, epoch, at: Date.now() / 1000 })}\n`);
  fsyncSync(file);
  closeSync(file);
}

/** The deeds that come before a step is computed. */
async function act(next) {
  const wanted = deeds();
  const mine = (name) =>
    wanted[name]?.rank === rank && wanted[name].step <= next && (wanted[name].epochs ?? [epoch]).includes(epoch);
  for (const crash of wanted.crashes ?? []) {
    if (crash.rank !== rank || crash.step !== next || crash.epoch !== epoch) continue;
    done("crashes");
    process.kill(process.pid, "SIGKILL");
  }
  if (mine("raise")) {
    done("raise");
    throw new RangeError("the 7th document of shard 3 holds no tokens");
  }
  if (mine("leave")) {
    done("leave");
    process.exit(0);
  }
  if (mine("allocate")) {
    done("allocate");
    for (const kept = []; ; await pause(1)) kept.push(Buffer.alloc(4 << 20, 1));
  }
  if (mine("beat")) {
    done("beat");
    for (;;) {
      say({ ev: "heartbeat", phase: "compute", step });
      await pause(100);
      if (stopping) leave(80, "stopped");
    }
  }
  if (mine("print")) {
    if (wanted.print.step === next) done("print");
    const until = performance.now() + wanted.print.secondsAStep * 1000;
    do process.stdout.write(wanted.print.text);
    while (performance.now() < until);
  }
  if (mine("zombie") && wanted.zombie.step === next) {
    done("zombie");
    const spawned = spawn(
      process.execPath,
      [wanted.zombie.program, folders.memory, folders.epochFile, String(epoch), String(step)],
      {
        detached: true,
        stdio: "ignore",
        // Without the mark by which an attempt's own processes are found and ended.
        env: {},
      },
    );
    spawned.unref();
  }
  if (mine("slow")) {
    if (wanted.slow.step === next) done("slow");
    for (const until = performance.now() + wanted.slow.seconds * 1000; performance.now() < until; );
    return wanted.slow.seconds;
  }
  return 0;
}

let step = 0;
let weights = new Uint8Array(32);
say({ ev: "hello", pid: process.pid });
say({ ev: "phase", phase: "load", step });
if (resume !== null) {
  try {
    await verifyCheckpoint(resume.path);
  } catch (error) {
    say({ ev: "fault", kind: "corrupt-checkpoint", step, detail: String(error), retried: false });
    leave(81, "failed");
  }
  const file = openSafetensors(join(resume.path, "weights.safetensors"));
  weights = Uint8Array.from(file.read("model.norm.weight").bytes);
  file.close();
  step = resume.step;
}

function publish(tier) {
  const folder = tier === "memory" ? folders.memory : folders.disk;
  const manifest = {
    ...{ v: 1, run: spec.run, epoch, step, tokensSeen: step, model: spec.model, tokenizer: { kind: "byte" } },
    schedule: { step, learningRate: 0 },
    data: { seed: 0, step },
    device: { platform: "cpu", threads: 1, instructionSet: "none", onnxRuntime: "none", node: process.versions.node },
  };
  const files = ["weights.safetensors", "optimizer.safetensors"].map((name) => ({
    name,
    pieces: [...safetensorsPieces([tensor(weights)], () => [weights])],
  }));
  const fence = () => {
    checkFence({ epochFile: folders.epochFile, epoch });
    const { dieWhilePublishing } = deeds();
    if (dieWhilePublishing?.step !== step || dieWhilePublishing.epoch !== epoch) return;
    done("dieWhilePublishing");
    process.kill(process.pid, "SIGKILL");
  };
  const { path } = publishCheckpoint({ folder, manifest, files, durable: tier === "disk", fence });
  say({ ev: "checkpoint", step, tier, path, seconds: 0 });
  retain(folder, { keep: 3, readBack: false });
}

function strike(fault, id, next) {
  if (fault.rank !== rank || fault.step !== next || (struck[id] ?? 0) >= fault.times) return;
  struck[id] = (struck[id] ?? 0) + 1;
  say({ ev: "injected", fault: id, kind: fault.kind, step: next });
  fsyncSync(events);
  if (fault.kind === "crash") process.kill(process.pid, "SIGKILL");
  if (fault.kind === "hang") process.kill(process.pid, "SIGSTOP");
  if (fault.kind === "exit") process.exit(fault.code);
  if (fault.kind === "nan") say({ ev: "fault", kind: "nan", step: next, detail: "poisoned", retried: true });
}

/** Ranks wait for each other as a real job's do: the others say by a file what they have computed, rank 0 by its checkpoint. */
const computedFile = (other) => `${DUALGAUGE_EVENTS.replace(/rank-\d+/, `rank-${other}`)}.computed`;
function computedBy(other) {
  return existsSync(computedFile(other)) ? Number(readFileSync(computedFile(other), "utf8")) : 0;
}
const isPublished = (number) =>
  existsSync(join(folders.memory, `step-${String(number).padStart(8, "0")}`, "manifest.json"));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

while (step < train.steps) {
  const started = performance.now();
  const next = step + 1;
  say({ ev: "phase", phase: "compute", step });
  for (const [index, fault] of emulate.faults.entries()) strike(fault, `${pool}/${index}`, next);
  const stepMilliseconds = paceMilliseconds();
  const burntSeconds = await act(next);
  await pause(stepMilliseconds);
  if (stopping) leave(80, "stopped");
  if (rank === 0) {
    for (let other = 1; other < Number(WORLD_SIZE); other++) {
      say({ ev: "heartbeat", phase: "reduce", step, waitingFor: other });
      while (computedBy(other) < next) {
        await pause(2);
        if (stopping) leave(80, "stopped");
      }
    }
    weights = createHash("sha256").update(weights).update(`step ${next}`).digest();
    step = next;
    try {
      publish("memory");
      if (step % train.checkpointEvery === 0 || step === train.steps) publish("disk");
    } catch (error) {
      if (error instanceof Fenced) leave(84, "failed");
      throw error;
    }
  } else {
    writeFileSync(`${computedFile(rank)}.new`, String(next));
    renameSync(`${computedFile(rank)}.new`, computedFile(rank));
    say({ ev: "heartbeat", phase: "reduce", step, waitingFor: 0 });
    while (!isPublished(next) && !isPublished(next + 1) && !isPublished(next + 2)) {
      await pause(2);
      if (stopping) leave(80, "stopped");
      if (!existsSync(folders.memory)) leave(0, "finished");
    }
    step = next;
  }
  const seconds = (performance.now() - started) / 1000;
  const { spike } = deeds();
  const spikes = spike?.step === step && spike.epoch === epoch && rank === 0;
  if (spikes) done("spike");
  const loss = (2 + 1 / step) * (spikes ? spike.factor : 1);
  say({ ev: "step", step, loss, seconds, tokens: 64, computeSeconds: stepMilliseconds / 1000 + burntSeconds });
}
const last = rank === 0 ? { weightsSha256: weightsSha256([tensor(weights)]), loss: 2 + 1 / step } : {};
say({ ev: "bye", reason: "finished", step, ...last });
closeSync(events);
process.exit(0);
