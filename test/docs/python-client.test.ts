/** The Python client of docs/reference/worker-protocol.md is the file that it names, and what it writes is understood. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { translator } from "../../src/program/translate.ts";
import { WorkerEvent } from "../../src/spec/worker-event.ts";

const root = resolve(import.meta.dirname, "../..");
const client = readFileSync(join(root, "examples/pytorch-ddp/dualgauge_events.py"), "utf8");

test("the page shows the file, which is short and imports only Python's own modules", () => {
  const page = readFileSync(join(root, "docs/reference/worker-protocol.md"), "utf8");
  expect(/```python\n([\s\S]*?)```/.exec(page)?.[1]).toBe(client);
  expect(client.match(/^import .*/gm)).toEqual(["import json, math, os, threading, time"]);
  const code = client
    .split("\n")
    .slice(8)
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("#"));
  expect(code.length).toBeLessThanOrEqual(45);
});

/** Two lines, as the page says, in a program of its own. */
const program = `
import time
from dualgauge_events import events
events.phase("load")
for step in range(1, 4):
    time.sleep(0.3)
    events.step(step, seconds=0.3, loss=float("nan") if step == 2 else 4.0 - step, tokens=64)
`;

test("what it writes is events, heartbeats among them; without DUALGAUGE_EVENTS it writes nothing", ({ skip }) => {
  if (spawnSync("python3", ["-c", ""]).status !== 0) return skip("no python3 on this machine");
  const folder = mkdtempSync(join(tmpdir(), "dualgauge-client-"));
  try {
    const events = join(folder, "events.jsonl");
    const env = {
      PATH: process.env.PATH,
      PYTHONPATH: join(root, "examples/pytorch-ddp"),
      PYTHONDONTWRITEBYTECODE: "1",
      RANK: "2",
    };
    const told = { DUALGAUGE_EVENTS: events, DUALGAUGE_RUN: "r", DUALGAUGE_EPOCH: "7" };
    const done = spawnSync("python3", ["-c", program], { env: { ...env, ...told }, encoding: "utf8" });
    expect([done.status, done.stderr]).toEqual([0, ""]);
    const lines = readFileSync(events, "utf8").trimEnd().split("\n");
    const said = lines.map((line) => WorkerEvent.parse(JSON.parse(line)));
    expect(said.map(({ seq }) => seq)).toEqual(said.map((_, index) => index + 1));
    expect(said.map(({ ev }) => ev)).toEqual(expect.arrayContaining(["hello", "phase", "heartbeat", "step"]));
    const notes: object[] = [];
    const understood = translator({
      ...{ run: "r", epoch: 7, adapter: "plain", steps: 3, step: 0, monotonicSeconds: () => 1 },
      onNote: (note) => notes.push(note),
    });
    const steps = lines.flatMap((line) => understood.told(2, line)).filter(({ ev }) => ev === "step");
    expect(steps).toMatchObject([
      { rank: 2, step: 1, loss: 3, tokens: 64, seconds: 0.3 },
      { step: 2, tokens: 64 },
      { step: 3, loss: 1 },
    ]);
    expect(notes).toEqual([]);
    const alone = spawnSync("python3", ["-c", program], { env, encoding: "utf8" });
    expect([alone.status, alone.stdout, alone.stderr]).toEqual([0, "", ""]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
