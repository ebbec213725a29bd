/** What reading must bear: encodings, colours, carriage returns, archives, links, folders, and files that are no logs. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { diagnoseLogs } from "../../src/diagnosis/diagnose.ts";
import { encodings } from "../../src/diagnosis/encode-text.ts";
import { readLog } from "../../src/diagnosis/reader.ts";
import { createScanner } from "../../src/diagnosis/scan.ts";
import { hit } from "../../src/diagnosis/signatures.ts";
import { BadInput } from "../../src/spec/bad-input.ts";
import { iteration } from "./log-lines.ts";

const folder = mkdtempSync(join(tmpdir(), "dualgauge-diagnose-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.";
const file = (name: string, content: string | Uint8Array): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

async function* chunks(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

async function diagnose(logs: string[], stdin: AsyncIterable<Uint8Array> = chunks()) {
  const notes: string[] = [];
  const found = await diagnoseLogs({ logs, stdin, note: (text) => notes.push(text) });
  return { ...found, notes };
}

describe("encodings and packings", () => {
  test.each<[string, string | Uint8Array]>([
    ["plain.log", `${iteration(1)}\n${oom}\n`],
    ["crlf.log", `${iteration(1)}\r\n${oom}\r\n`],
    [
      "colours.log",
      `${iteration(1)}\n\x1b[31m\x1b[1mtorch.OutOfMemoryError\x1b[0m: CUDA out of memory. Tried to allocate 2.00 GiB.\n`,
    ],
    ["packed.log.gz", gzipSync(`${iteration(1)}\n${oom}\n`)],
    ["utf16le.log", Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(`${iteration(1)}\n${oom}\n`, "utf16le")])],
    [
      "utf16be.log",
      Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(`${iteration(1)}\n${oom}\n`, "utf16le").swap16()]),
    ],
    ["utf8bom.log", `\ufeff${iteration(1)}\n${oom}\n`],
    ["holes.log", `${iteration(1)}\n${oom}\n${"\0".repeat(64)}`],
    ["bar.log", `${iteration(1)}\n 10%|#         | 1/10 [00:01<00:09, 1.0it/s]\r 20%|##        | 2/10\r${oom}\n`],
    ["unfinished.log", `${iteration(1)}\n${oom}`],
  ])("%s", async (name, content) => {
    const { rootCause } = await diagnose([file(name, content)]);
    expect(rootCause).toMatchObject({
      category: "memory",
      action: "fix-job",
      evidence: [{ line: name === "bar.log" ? 2 : 2 }],
    });
    expect(rootCause?.evidence[0]?.text).not.toContain("\x1b");
  });

  test("Chinese in GB 18030", async () => {
    const [, gb = new Uint8Array()] = encodings("错误: 设备上没有空间");
    const { rootCause } = await diagnose([file("gbk.log", Buffer.concat([Buffer.from(`${iteration(1)}\n`), gb]))]);
    expect(rootCause).toMatchObject({ category: "storage", evidence: [{ line: 2, text: "错误: 设备上没有空间" }] });
  });

  test("standard input", async () => {
    const { rootCause } = await diagnose(["-"], chunks(Buffer.from(oom.slice(0, 20)), Buffer.from(oom.slice(20))));
    expect(rootCause).toMatchObject({ category: "memory", evidence: [{ file: "-", line: 1 }] });
  });
});

describe("what is no log", () => {
  test.each<[string, string, RegExp]>([
    ["a file that is not there", join(folder, "nothing.log"), /nothing\.log: does not exist; /],
    ["a binary", file("core.dump", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7) % 32))), /is binary/],
    ["a device", "/dev/zero", /is a device/],
    ["a pattern without files", join(folder, "*.nothing"), /matches no file/],
  ])("%s is one line", async (_, name, problem) => {
    const error = await diagnose([name]).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BadInput);
    expect(String(error)).toMatch(problem);
    expect(String(error)).not.toContain("\n");
  });

  test("a link that leads to itself is one line", async () => {
    symlinkSync("loop.log", join(folder, "loop.log"));
    await expect(diagnose([join(folder, "loop.log")])).rejects.toThrow(/leads back to itself/);
  });

  test("a folder with loops, binaries and empty files is read for its logs", async () => {
    const root = join(folder, "run");
    mkdirSync(join(root, "logs"), { recursive: true });
    symlinkSync("..", join(root, "logs", "up"));
    symlinkSync("gone", join(root, "dangling"));
    writeFileSync(join(root, "model.bin"), Buffer.alloc(4096, 1));
    writeFileSync(join(root, "empty.log"), "");
    writeFileSync(join(root, "logs", "rank_3.log"), `${oom}\n`);
    const { rootCause, filesRead, notes } = await diagnose([root]);
    expect(rootCause).toMatchObject({ rank: 3, category: "memory" });
    expect(filesRead).toBe(2);
    expect(notes.join("\n")).toMatch(/dangling: does not exist/);
    expect((await diagnose([join(root, "**", "*.log")])).filesRead).toBe(2);
  });

  test("a cut-off archive is read as far as it goes", async () => {
    const whole = gzipSync(
      `${oom}\n${Array.from({ length: 9000 }, (_, i) => iteration(i))
        .join("\n")
        .replaceAll("iteration", "note")}`,
    );
    const { rootCause, notes } = await diagnose([file("cut.log.gz", whole.subarray(0, whole.length - 200))]);
    expect(rootCause).toMatchObject({ category: "memory" });
    expect(notes[0]).toMatch(/gzip; read up to line/);
  });

  test("a line without an end is read in pieces, and what stands after it is found", async () => {
    const piece = Buffer.alloc(2 ** 20, "x");
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 64; i++) yield piece;
      yield Buffer.from(`\n${oom}\n`);
    }
    const before = process.memoryUsage().arrayBuffers;
    const { rootCause, linesRead } = await diagnose(["-"], endless());
    expect(rootCause).toMatchObject({ category: "memory", evidence: [{ line: 2 }] });
    expect(linesRead).toBe(2);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(48 * 2 ** 20);
  });

  test("a pipe that never ends is answered when the reader is told to stop", async () => {
    const stop = new AbortController();
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let i = 0; ; i++) {
        yield Buffer.from(i === 0 ? `${oom}\n` : "nothing\n");
        if (i === 1000) stop.abort();
      }
    }
    const options = { logs: ["-"], stdin: endless(), note: String, signal: stop.signal };
    const { rootCause } = await diagnoseLogs(options);
    expect(rootCause).toMatchObject({ category: "memory" });
  });

  test("hostile lines do no harm", async () => {
    const lines = [
      '{"level":"error","msg":"x","__proto__":{"rank":1},"rank":1e308}',
      `rank${"9".repeat(400)}: ${oom}`,
      "\x1b]0;title\x07\x1b[2J",
      "(".repeat(5000),
    ];
    await expect(diagnose([file("hostile.log", lines.join("\n"))])).resolves.toMatchObject({ linesRead: 4 });
  });
});

test("cut into any chunks, the scanner tells the same lines", () => {
  const text = Buffer.from(`${iteration(1)}\r\n50%|x|\r${oom}\n设备上没有空间\nlast`);
  const told = (parts: Uint8Array[]): string[] => {
    const lines: string[] = [];
    const scanner = createScanner({ line: (flags, number, read) => lines.push(`${number} ${flags} ${read()}`) });
    for (const part of parts) scanner.push(part);
    scanner.end();
    return lines;
  };
  const whole = told([text]);
  expect(whole).toHaveLength(3);
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
      const edges = [0, ...cuts.toSorted((a, b) => a - b), text.length];
      expect(told(edges.slice(1).map((edge, i) => text.subarray(edges[i], edge)))).toEqual(whole);
    }),
    { seed: 7, numRuns: 200 },
  );
});

describe("hostile files", () => {
  test("a pipe with a name is read until its writer closes it", async () => {
    const path = join(folder, "pipe.log");
    execFileSync("mkfifo", [path]);
    const answer = diagnose([path]);
    await writeFile(path, `${iteration(1)}\n${oom}\n`);
    expect((await answer).rootCause).toMatchObject({ category: "memory", evidence: [{ line: 2 }] });
  });

  test("a file that one may not read is one line", async ({ skip }) => {
    const secret = mkdtempSync(join(tmpdir(), "dualgauge-secret-"));
    const path = join(secret, "secret.log");
    writeFileSync(path, oom, { mode: 0 });
    chmodSync(secret, 0o755);
    try {
      if (process.getuid?.() !== 0) {
        await expect(diagnose([path])).rejects.toThrow(/secret\.log: may not be read; /);
        return;
      }
      // Root may read everything: the built verb is run as nobody, where nobody may read it.
      const verb = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
      const asNobody = { uid: 65534, gid: 65534, encoding: "utf8", env: { ...process.env, HOME: secret } } as const;
      if (spawnSync(process.execPath, [verb, "--help"], asNobody).status !== 0)
        skip("nobody may not run the built program here");
      const { status, stderr } = spawnSync(process.execPath, [verb, "diagnose", path], asNobody);
      expect(stderr.trim()).toMatch(/^[^\n]*secret\.log: may not be read; [^\n]*$/);
      expect(status).toBe(2);
    } finally {
      rmSync(secret, { recursive: true });
    }
  });

  test("a file that is taken away or cut short while it is read gives what was read", async () => {
    const path = file("vanishing.log", `${oom}\n${`${"x".repeat(1023)}\n`.repeat(4096)}`);
    let seen = 0;
    for await (const chunk of readLog(path)) {
      if (seen === 0) {
        truncateSync(path, 300_000);
        rmSync(path);
      }
      seen += chunk.length;
    }
    expect(seen).toBeGreaterThanOrEqual(2 ** 18);
    expect(seen).toBeLessThanOrEqual(300_000);
    await expect(diagnose([path])).rejects.toThrow(/does not exist/);
  });

  test("a folder of folders that link to each other ends", async () => {
    const root = join(folder, "ring");
    mkdirSync(join(root, "a", "b"), { recursive: true });
    symlinkSync(join(root, "a"), join(root, "a", "b", "again"));
    symlinkSync(join(root, "self"), join(root, "self"));
    writeFileSync(join(root, "a", "b", "rank_1.log"), `${oom}\n`);
    const { rootCause, filesRead, notes } = await diagnose([root]);
    expect(rootCause).toMatchObject({ category: "memory", rank: 1 });
    expect(filesRead).toBe(1);
    expect(notes.join("\n")).toMatch(/self: is a link that leads back to itself/);
  });

  test("a line of a gibibyte is read in bounded memory, and what stands after it is found", async () => {
    const piece = Buffer.alloc(2 ** 22, "y ");
    async function* line(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 256; i++) yield piece;
      yield Buffer.from(`\n${oom}\n`);
    }
    const before = process.memoryUsage().arrayBuffers;
    const { rootCause, bytesRead, linesRead } = await diagnose(["-"], line());
    expect(rootCause).toMatchObject({ category: "memory", evidence: [{ line: 2 }] });
    expect(bytesRead).toBeGreaterThan(2 ** 30);
    expect(linesRead).toBe(2);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 2 ** 20);
  });

  test("what follows the cut of a line that began as data is data", () => {
    const flags: number[] = [];
    const scanner = createScanner({ line: (all) => flags.push(all) });
    scanner.push(Buffer.from(`{"text": "${"z".repeat(66_000)}`));
    scanner.push(Buffer.from(` ${oom}"}\n${oom}\n`));
    expect(flags.filter((all) => (all & hit.candidate) !== 0)).toHaveLength(1);
  });

  test("a signature across the cut of a long line is found, and a step beside it counts once", () => {
    for (let shift = 0; shift < 90; shift += 7) {
      const flags: number[] = [];
      const texts: string[] = [];
      const scanner = createScanner({
        line: (all, _, read) => {
          flags.push(all);
          texts.push(read());
        },
      });
      const text = `${"z".repeat(65_540 - shift)} ${oom} samples/sec`;
      const bytes = Buffer.from(text);
      scanner.push(bytes.subarray(0, 65_540));
      scanner.push(bytes.subarray(65_540));
      scanner.end();
      expect(texts.some((read) => read.includes(oom))).toBe(true);
      expect(flags.filter((all) => (all & hit.progress) !== 0)).toHaveLength(1);
    }
  });
});
