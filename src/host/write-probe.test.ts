/** A folder that can be written, a device that is full, a folder that is gone. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { entryPoint } from "./entry-point.ts";
import { writeProbe } from "./write-probe.ts";

const root = mkdtempSync(join(tmpdir(), "dualgauge-probe-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("where there is space nothing is wrong, and nothing is left behind", () => {
  const path = join(root, "probe");
  const probe = writeProbe(path);
  for (let time = 0; time < 3; time++) expect(probe.trouble()).toBeUndefined();
  expect(statSync(path).size).toBe(0);
  probe.close();
  expect(existsSync(path)).toBe(false);
});

test("a full device is told by its code, time and again", () => {
  const path = join(root, "full");
  symlinkSync("/dev/full", path);
  const probe = writeProbe(path);
  for (let time = 0; time < 3; time++) expect(probe.trouble()).toBe("ENOSPC");
  probe.close();
  expect(existsSync("/dev/full")).toBe(true);
});

test("where nothing can be tried nothing is claimed", () => {
  const probe = writeProbe(join(root, "gone", "probe"));
  expect(probe.trouble()).toBeUndefined();
  probe.close();
});

test("a process at its limit of open files knows it, and takes no living process for a dead one", () => {
  const modules = ["host/files", "host/processes"].map((name) => JSON.stringify(entryPoint(name)));
  const script = `
    const [{ descriptorShortage }, { identify, processStatus }] = await Promise.all([${modules.map((path) => `import(${path})`)}]);
    const { openSync } = await import("node:fs");
    const me = identify(process.pid);
    const said = [descriptorShortage(1), descriptorShortage(1000)];
    try { for (;;) openSync("/dev/null", "r"); } catch {}
    said.push(descriptorShortage(1));
    try { said.push(processStatus(me)); } catch (error) { said.push(error.code); }
    process.stdout.write(JSON.stringify(said));
    process.exit(0);`;
  const command = 'ulimit -n 256; exec "$0" --input-type=module -e "$1"';
  const said = execFileSync("sh", ["-c", command, process.execPath, script], { encoding: "utf8" });
  expect(JSON.parse(said)).toEqual([null, "EMFILE", "EMFILE", "EMFILE"]);
});
