/** One supervisor per directory: a living one is respected, a dead one replaced, and a number used again fools nobody. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { identify } from "../host/processes.ts";
import { leaseHolder, takeLease } from "./lease.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dualgauge-lease-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("a lease", () => {
  test("is refused while its holder lives, in one line, and free after release", () => {
    const lease = takeLease(folder);
    expect(lease.held()).toBe(true);
    expect(() => takeLease(folder)).toThrow(
      new RegExp(`^${folder}: is supervised by process ${process.pid} already; wait for it`),
    );
    expect(leaseHolder(folder)?.pid).toBe(process.pid);
    lease.release();
    expect(existsSync(join(folder, "lease"))).toBe(false);
    takeLease(folder).release();
  });

  test("of a process that was killed is taken over", async () => {
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const holder = identify(child.pid ?? 0);
    if (holder === undefined) throw new Error("the child did not start");
    takeLease(folder, holder);
    expect(() => takeLease(folder)).toThrow(/is supervised by process/);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    expect(leaseHolder(folder)).toBeUndefined();
    expect(takeLease(folder).held()).toBe(true);
  });

  test("of another boot, of a number used again, or torn, is void", () => {
    const alive = {
      pid: process.pid,
      startTicks: identify(process.pid)?.startTicks ?? 0,
      bootId: "another",
      host: "h",
    };
    const mine = JSON.parse(readFileSync(writtenLease(), "utf8"));
    for (const content of [
      JSON.stringify({ ...mine, bootId: alive.bootId }),
      JSON.stringify({ ...mine, startTicks: mine.startTicks + 1 }),
      '{"pid":12',
      "",
    ]) {
      writeFileSync(join(folder, "lease"), content);
      const lease = takeLease(folder);
      expect(lease.held(), content).toBe(true);
      lease.release();
    }
  });

  test("of another host is left to a person", () => {
    const mine = JSON.parse(readFileSync(writtenLease(), "utf8"));
    writeFileSync(join(folder, "lease"), JSON.stringify({ ...mine, host: "elsewhere", bootId: "another" }));
    expect(() => takeLease(folder)).toThrow(/supervised from host elsewhere; when that host is gone for good, remove/);
  });

  test("that somebody took away is no longer held, and is not released for them", () => {
    const lease = takeLease(folder);
    writeFileSync(join(folder, "lease"), "{}");
    expect(lease.held()).toBe(false);
    lease.release();
    expect(existsSync(join(folder, "lease"))).toBe(true);
  });

  function writtenLease(): string {
    takeLease(folder);
    return join(folder, "lease");
  }
});
