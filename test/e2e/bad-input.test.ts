/** Bad input gets one line that says what, where and how to mend it, exit 2, and nothing is changed: through the real command. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Document } from "yaml";
import { type Finished, start, temporaryFolder } from "./command.ts";
import { tinyRun } from "./tiny-run.ts";

/** Names, sizes and content of everything below a folder. */
function everything(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory()
        ? `${name}/`
        : `${name} ${readFileSync(path).toString("base64").slice(0, 4000)}`;
    });
}

/** Runs the command in a folder prepared by `prepare`; checks exit code, the single line and that nothing was changed. */
async function refuse(
  prepare: (folder: string) => readonly string[] | Promise<readonly string[]>,
  message: RegExp,
  options: { uid?: number } = {},
): Promise<void> {
  using folder = temporaryFolder();
  const args = await prepare(folder.path);
  const before = everything(folder.path);
  const finished = await start(args, { cwd: folder.path, ...options }).finished;
  expectRefusal(finished, message);
  expect(everything(folder.path)).toEqual(before);
}

function expectRefusal({ code, stdout, stderr }: Finished, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).toMatch(/^dualgauge: [^\n]+: [^\n]+[;,] [^\n]+\n$|^dualgauge: [^\n]+\?\)?\n$/);
  expect(stdout).toBe("");
  expect(code).toBe(2);
}

/** Values to put into the run file, by dotted path. */
type Changes = Readonly<Record<string, unknown>>;

function write(folder: string, changes: Changes = {}): string {
  writeFileSync(join(folder, "text.txt"), "The sea, the sea, the open sea! ".repeat(100));
  const document = new Document(tinyRun({ files: ["text.txt"] }));
  for (const [path, value] of Object.entries(changes)) document.setIn(path.split("."), value);
  writeFileSync(join(folder, "run.yaml"), document.toString());
  return "run.yaml";
}

const cases: readonly (readonly [string, Changes, RegExp])[] = [
  ["missing data", { "data.text.files": ["nowhere.txt"] }, /nowhere\.txt: does not exist; name/],
  ["a missing package", { "data.text.files": ["npm:nothing-here/x.txt"] }, /no such package/],
  ["steps of 0", { "train.steps": 0 }, /run\.yaml:\d+ train\.steps: 0: .*>\s?0/],
  ["steps below 0", { "train.steps": -5 }, /train\.steps: -5/],
  [
    "sizes that do not divide",
    { "train.microBatch": 2, "train.globalBatch": 5 },
    /globalBatch: 5 is not a multiple of/,
  ],
  ["an odd rotary size", { "model.qk_rope_head_dim": 7 }, /model\.qk_rope_head_dim: 7 is odd/],
  ["groups that do not divide", { "model.n_group": 3 }, /model\.n_group: 3 does not divide/],
  ["a vocabulary smaller than the tokenizer's", { "model.vocab_size": 200 }, /set vocab_size to at least 260/],
  [
    "an unknown fault kind, naming the nearest",
    { "pools.0.emulate.faults": [{ kind: "crahs", step: 1 }] },
    /run\.yaml:\d+ pools\.0\.emulate\.faults\.0\.kind: "crahs" is unknown; did you mean crash\?/,
  ],
  [
    "an unknown key, naming the nearest and the line",
    { "train.microBatchs": 2 },
    /run\.yaml:\d+ train\.microBatchs: unknown key; did you mean microBatch\?/,
  ],
  [
    "text that is too short",
    { "train.seqLength": 8000, "model.max_position_embeddings": 9000 },
    /tokens, but one sequence takes 8001/,
  ],
  ["a pool that is none", { failover: { order: ["alpha", "gamma"] } }, /gamma is no pool/],
];

test.each(cases)("check refuses %s", (_, changes, message) =>
  refuse((folder) => ["check", write(folder, changes)], message),
);

describe.each(["check", "train"])("%s refuses", (verb) => {
  test("missing data", () =>
    refuse((folder) => [verb, write(folder, { "data.text.files": ["nowhere.txt"] })], /nowhere\.txt: does not exist/));

  test("empty data", () =>
    refuse((folder) => {
      write(folder);
      writeFileSync(join(folder, "text.txt"), "");
      return [verb, "run.yaml"];
    }, /the files hold no text; give some/));

  test("a YAML syntax error, with its line", () =>
    refuse((folder) => {
      writeFileSync(join(folder, "run.yaml"), 'name: "x\nmodel: [1, 2\n');
      return [verb, "run.yaml"];
    }, /run\.yaml:\d+:\d+: .*; mend the YAML there/));

  test("a tokenizer.json that is none", () =>
    refuse((folder) => {
      writeFileSync(join(folder, "tokenizer.json"), "[]");
      return [verb, write(folder, { "data.text.tokenizer": "tokenizer.json" })];
    }, /tokenizer\.json: is no tokenizer/));

  test("a run file that is not there", () =>
    refuse(() => [verb, "none.yaml"], /none\.yaml: does not exist; `dualgauge init`/));
  test("an option that is none", () =>
    refuse((folder) => [verb, write(folder), "--jsn"], /unknown option '--jsn' \(Did you mean --json\?\)/));
});

/** What may stand where a file is expected; the reason is part of what is printed. */
const strange: readonly (readonly [string, (path: string) => void, RegExp])[] = [
  ["a pipe that nobody writes to", (path) => execFileSync("mkfifo", [path]), /: is no regular file; \S+/],
  ["a loop of links", (path) => symlinkSync(path, path), /: (cannot be read \(ELOOP\)|holds no run|holds journal)/],
  ["an endless device", (path) => symlinkSync("/dev/zero", path), /: is no regular file; \S+/],
];
describe.each(strange)("%s is refused", (_, make, message) => {
  test.each(["check", "train", "status"])("as the run file of %s", (verb) =>
    refuseUnread((folder) => {
      make(join(folder, "run.yaml"));
      return [verb, "run.yaml"];
    }, message),
  );
  test("as the text", () =>
    refuseUnread((folder) => {
      const file = write(folder, { "data.text.files": ["strange.txt"] });
      make(join(folder, "strange.txt"));
      return ["check", file];
    }, /strange\.txt: (is no regular file|cannot be read \(ELOOP\)); name/));
  test.each(["status", "events", "train"])("as the journal of %s", (verb) =>
    refuseUnread((folder) => {
      write(folder);
      mkdirSync(join(folder, "here"));
      make(join(folder, "here/journal.jsonl"));
      return [verb, "run.yaml", "--dir", "here"];
    }, message),
  );
});

/** As `refuse`; what there is cannot be read to be compared, so names are. */
async function refuseUnread(prepare: (folder: string) => readonly string[], message: RegExp): Promise<void> {
  using folder = temporaryFolder();
  const args = prepare(folder.path);
  const names = (): string[] => readdirSync(folder.path, { recursive: true, encoding: "utf8" }).sort();
  const before = names();
  expectRefusal(await start(args, { cwd: folder.path }).finished, message);
  expect(names()).toEqual(before);
}

describe("train refuses a directory", () => {
  test("that holds something else", () =>
    refuse((folder) => {
      mkdirSync(join(folder, "full"));
      writeFileSync(join(folder, "full", "thesis.doc"), "");
      return ["train", write(folder), "--dir", "full"];
    }, /full: holds thesis\.doc but no run; choose another --dir/));

  test("that is a file", () =>
    refuse((folder) => {
      writeFileSync(join(folder, "file"), "");
      return ["train", write(folder), "--dir", "file"];
    }, /file: is a file; choose another --dir/));

  test("that may not be written", ({ skip }) => {
    const uid = otherUser(skip);
    return refuse(
      (folder) => {
        write(folder);
        chmodSync(folder, 0o755);
        mkdirSync(join(folder, "here"), { mode: 0o555 });
        return ["train", "run.yaml", "--dir", "here/run"];
      },
      /here\/run: cannot be (written|made) \(E[A-Z]+\); choose another --dir/,
      { uid },
    );
  });

  test("on a full disk", async ({ skip }) => {
    using folder = temporaryFolder();
    const disk = join(folder.path, "disk");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      skip("this user may not mount a small disk to fill");
    }
    try {
      try {
        writeFileSync(join(disk, "filler"), Buffer.alloc(1 << 20));
      } catch {
        // It is full now, which was the intent.
      }
      write(folder.path);
      const before = readdirSync(disk);
      const { finished } = start(["train", "run.yaml", "--dir", "disk/run"], { cwd: folder.path });
      expectRefusal(await finished, /disk\/run: .*\(ENOSPC\); (free some space|choose another)/);
      expect(readdirSync(disk)).toEqual(before);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});

/** A user who is not root, because root may write anywhere; as whoever runs the test when that is not root. */
function otherUser(skip: (reason: string) => never): number {
  const uid = process.getuid?.();
  if (uid === undefined) return skip("no users on this system");
  return uid === 0 ? 65_534 : uid;
}

test("serve refuses a port in use, a directory without a model, and a port that is none", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const address = holder.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  try {
    await refuse(() => ["serve", ".", "--port", String(port)], /holds neither/);
    await refuse(() => ["serve", "nowhere"], /nowhere: does not exist/);
    await refuse(() => ["serve", ".", "--port", "99999"], /--port 99999/);
  } finally {
    holder.close();
  }
});

test("init refuses to overwrite, and a folder without text", async () => {
  await refuse((folder) => {
    write(folder);
    return ["init", "."];
  }, /run\.yaml: exists already; edit it/);
  await refuse(() => ["init", "."], /\.: no \.txt or \.jsonl file there; name some with --text/);
});

test("a verb that is none names the nearest", () =>
  refuse(() => ["trian"], /unknown command 'trian' \(Did you mean train\?\)/));
