/** Device telemetry under the real command: an emulated nvidia-smi (a script that prints its format) reports errors while a program runs. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import type { StatusDocument, TrainDocument } from "../../src/journal/select.ts";
import { readJournal } from "../../src/store/journal-file.ts";
import { start, temporaryFolder } from "./command.ts";

const row = (index: number, errors: number): string =>
  `${index}, 00000000:${index}0:00.0, NVIDIA H100 80GB HBM3, 41, 48, 112.34, 97, 65432, 81559, ${errors}, [N/A], 0x0`;

/** `script` with two ranks, under an nvidia-smi that prints what file `devices` holds. */
function write(folder: string, script: string, smi: string, program: object = {}): { PATH: string } {
  mkdirSync(join(folder, "bin"));
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder, "bin", name), text);
    chmodSync(join(folder, "bin", name), 0o755);
  };
  put("nvidia-smi", `#!/bin/sh\n${smi}\n`);
  put("dmesg", "#!/bin/sh\nexit 1\n");
  writeFileSync(join(folder, "job.sh"), script);
  const env = { CUDA_VISIBLE_DEVICES: "0,1" };
  const file = {
    name: "job",
    program: { command: ["bash", "job.sh"], workersPerNode: 2, env, telemetrySeconds: 0.05, ...program },
    pools: [{ name: "here", workers: 1, spares: 1 }],
    failover: { stopGraceSeconds: 0.5, hangSeconds: 60 },
  };
  writeFileSync(join(folder, "run.yaml"), stringify(file));
  return { PATH: `${join(folder, "bin")}:${process.env.PATH}` };
}

test("errors that come before a rank aborts are noted, shown, and the fault's cause; the node is left", async () => {
  using folder = temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  // Rank 1 aborts once the second reading has been noted.
  const script = `[ $RANK = 0 ] && for i in $(seq 1 400); do [ -e go ] && break; echo step $i loss 1; sleep 0.05; done
[ $RANK = 1 ] && [ $DUALGAUGE_EPOCH = 1 ] && { while [ ! -e go ]; do sleep 0.05; done; kill -ABRT $$; }
exit 0`;
  const env = write(folder.path, script, `case "$1" in --query-gpu*) cat ${at("devices")} ;; esac`);
  writeFileSync(at("devices"), `${row(0, 0)}\n${row(1, 0)}\n`);
  const running = start(["train", "run.yaml", "--json"], { cwd: folder.path, env });
  const journal = at("runs/job/journal.jsonl");
  const notes = () =>
    existsSync(journal) ? readJournal(journal).state.notes.filter(({ device }) => device !== undefined) : [];
  await until(() => existsSync(journal) && readJournal(journal).state.step >= 5);
  // Until it is noted the counter goes up: the first look that sees it is not the first of all.
  let errors = 2;
  await until(() => {
    writeFileSync(at("devices"), `${row(0, 0)}\n${row(1, errors++)}\n`);
    return notes().some(({ device }) => device?.finding === "uncorrectable-memory");
  });
  const status = await start(["status", "run.yaml", "--json"], { cwd: folder.path }).finished;
  expect((JSON.parse(status.stdout) as StatusDocument).notes).toContainEqual(
    expect.objectContaining({ device: "nvidia 1", rank: 1, what: "uncorrectable memory errors" }),
  );
  const text = await start(["status", "run.yaml"], { cwd: folder.path }).finished;
  expect(text.stdout).toMatch(/noted +nvidia 1, rank 1: uncorrectable memory errors/);
  writeFileSync(at("go"), "");
  const { code, stdout, stderr } = await running.finished;
  expect(code, stderr).toBe(0);
  const document = JSON.parse(stdout) as TrainDocument;
  expect(document.attempts).toBe(2);
  expect(document.faults[0]).toMatchObject({
    detectedKind: "process-signal",
    rank: 1,
    category: "memory",
    action: "evict-node",
  });
  expect(document.faults[0]?.evidence.join("\n")).toMatch(/nvidia 1: uncorrectable memory errors: \d+ uncorrectable/);
  expect(readJournal(journal).state.evicted).toEqual(["here-0"]);
});

test("a tool that hangs disturbs nothing, neither the run nor its end; check says that it will be asked", async () => {
  using folder = temporaryFolder();
  const env = write(folder.path, "for i in 1 2 3; do echo step $i loss 1; done", "exec sleep 1000");
  const { stdout } = await start(["check", "run.yaml"], { cwd: folder.path, env }).finished;
  expect(stdout).toMatch(/devices +nvidia-smi will be asked while it runs/);
  const { code, stdout: out } = await start(["train", "run.yaml", "--json"], { cwd: folder.path, env }).finished;
  expect(code).toBe(0);
  expect((JSON.parse(out) as TrainDocument).faults).toEqual([]);
  const left = readJournal(join(folder.path, "runs/job/journal.jsonl")).state.attempt?.epoch;
  expect(readFileSync(join(folder.path, `runs/job/attempts/${left}/agent.jsonl`), "utf8")).toContain('"finished"');
});

async function until(holds: () => boolean): Promise<void> {
  for (const patience = Date.now() + 60_000; !holds(); await new Promise((wake) => setTimeout(wake, 20))) {
    if (Date.now() > patience) throw new Error("60 s without what was awaited");
  }
}
