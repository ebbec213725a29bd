/** What stands where a file is expected: every kind, made for real. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { fileKind } from "./file-kind.ts";

const folder = mkdtempSync(join(tmpdir(), "dualgauge-kind-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

test("files, folders, pipes, devices, loops and nothing", () => {
  writeFileSync(at("file"), "");
  symlinkSync("file", at("link"));
  symlinkSync("loop", at("loop"));
  symlinkSync("nowhere", at("dangling"));
  execFileSync("mkfifo", [at("pipe")]);
  expect(
    ["file", "link", ".", "pipe", "loop", "dangling", "none", "file/below"].map((name) => fileKind(at(name))),
  ).toEqual([...["file", "file", "folder", "strange", "unreadable", "absent", "absent", "absent"]]);
  expect(fileKind("/dev/zero")).toBe("strange");
});
