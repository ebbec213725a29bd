/**
 * One supervisor per run directory: a file that says who supervises, void as soon as that process is gone.
 * Knows: pid, process start and boot, so that a number used again is not mistaken for the holder. Does not know: what is supervised.
 */
import { closeSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { systemErrorCode } from "../host/files.ts";
import { bootId, type ProcessIdentity, processStatus, self } from "../host/processes.ts";
import { BadInput } from "../spec/bad-input.ts";

const Holder = z.strictObject({
  pid: z.int().positive(),
  startTicks: z.int().nonnegative(),
  bootId: z.string().max(100),
  host: z.string().max(300),
});
type Holder = z.infer<typeof Holder>;

export interface Lease {
  /** Whether this process still is the one that the file names. */
  held(): boolean;
  release(): void;
}

/** Takes the lease of `folder`; BadInput when a living process holds it. A holder that was killed is replaced. */
export function takeLease(folder: string, me: ProcessIdentity = self()): Lease {
  const path = join(folder, "lease");
  const mine: Holder = { pid: me.pid, startTicks: me.startTicks, bootId: bootId(), host: hostname() };
  const content = `${JSON.stringify(mine)}\n`;
  for (let attempt = 0; attempt < 20; attempt++) {
    if (createExclusively(path, content)) return lease(path, content);
    const found = read(path);
    if (found === undefined) continue; // released in between
    const holder = parseHolder(found);
    if (holder !== undefined) refuseWhenAlive(folder, holder);
    moveAway(path, found);
  }
  throw new BadInput(`${folder}: several processes want to supervise it at once; start one`);
}

/** The living supervisor of `folder`, undefined when there is none. */
export function leaseHolder(folder: string): ProcessIdentity | undefined {
  const found = read(join(folder, "lease"));
  const holder = found === undefined ? undefined : parseHolder(found);
  return holder !== undefined && isAlive(holder) ? { pid: holder.pid, startTicks: holder.startTicks } : undefined;
}

function lease(path: string, content: string): Lease {
  return {
    held: () => read(path) === content,
    release() {
      if (read(path) === content) rmSync(path, { force: true });
    },
  };
}

function createExclusively(path: string, content: string): boolean {
  // Written first and linked then, so that no reader ever sees an empty lease.
  const draft = `${path}.${process.pid}`;
  try {
    closeSync(openSync(draft, "w"));
    writeFileSync(draft, content);
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    return Holder.parse(JSON.parse(text));
  } catch {
    return undefined; // torn by a power cut: its writer's boot is over
  }
}

function isAlive(holder: Holder): boolean {
  return holder.bootId === bootId() && processStatus(holder) !== "gone";
}

function refuseWhenAlive(folder: string, holder: Holder): void {
  if (holder.host !== hostname() && holder.bootId !== bootId()) {
    throw new BadInput(
      `${folder}: is supervised from host ${holder.host}; when that host is gone for good, remove ${join(folder, "lease")}`,
    );
  }
  if (!isAlive(holder)) return;
  throw new BadInput(
    `${folder}: is supervised by process ${holder.pid} already; wait for it, stop it, or choose another --dir`,
  );
}

/** Removes a void lease, unless another process was faster: then what was moved is put back. */
function moveAway(path: string, seen: string): void {
  const aside = `${path}.void-${process.pid}`;
  try {
    renameSync(path, aside);
    if (read(aside) !== seen) linkSync(aside, path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== "ENOENT" && code !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}
