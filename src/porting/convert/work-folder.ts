/**
 * A conversion's unfinished work inside its destination: which shards are done, with which hash, and whose work it is.
 * Knows: `.dualgauge-port/`, records, the lock, the final renames. Does not know: how shards are made.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join, resolve } from "node:path";
import * as z from "zod";
import type { FileEntry } from "../../checkpoint/integrity.ts";
import { syncFolder } from "../../checkpoint/publish.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { checkDestination, isAlive } from "../destination.ts";

export const workName = ".dualgauge-port";
const planName = "work.json";
const lockName = "lock";
/** Files that were made lie in a folder of their own, so that no name of the source's can be taken for a record. */
const filesName = "files";
const Plan = z.strictObject({ v: z.literal(1), identity: z.string() });
const Done = z.strictObject({ name: z.string(), bytes: z.int().nonnegative(), sha256: z.string() });
const Finished = z.looseObject({ identity: z.string() });

export interface WorkFolder {
  /** Everything was already finished by an earlier run of the same command. */
  readonly finished: boolean;
  /** What an earlier run recorded as written whole; to be read back before it is believed. */
  readonly recorded: readonly FileEntry[];
  /** Where a file lies: in the work folder, or in its final place after an interrupted end. */
  pathOf(name: string): string;
  /** Notes a file that was written and flushed. */
  record(file: FileEntry): void;
  /** Writes and flushes a small file. */
  write(name: string, content: Uint8Array): void;
  /** Puts the files in place, in that order, the last of which makes the destination complete, and removes the work folder. */
  finish(names: readonly string[]): void;
  /** Lets another process go on with the work. */
  release(): void;
}

/**
 * Opens `given` for the work that `identity` names. BadInput for a destination that is the source, inside it or around it, holds anything
 * else, or is being written by a living process.
 */
export function openWorkFolder(
  given: string,
  { identity, sources, completes }: { identity: string; sources: readonly string[]; completes: string },
): WorkFolder {
  const path = resolve(given);
  const work = join(path, workName);
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const there = isFolder ? readdirSync(path) : [];
  const finished = there.includes(completes) && finishedIdentity(path) === identity;
  const resumes = !finished && there.includes(workName) && plannedIdentity(work) === identity;
  const empty = there.every((name) => name === workName);
  checkDestination(given, path, sources, finished || resumes || (empty && isAbandoned(given, work)));
  if (!finished && !resumes) rmSync(work, { recursive: true, force: true });
  if (finished) rmSync(work, { recursive: true, force: true });
  else {
    mkdirSync(join(work, filesName), { recursive: true });
    lock(given, work);
    if (!resumes) writeWhole(work, planName, json({ v: 1, identity }));
  }
  const pathOf = (name: string): string => {
    const staged = join(work, filesName, name);
    return existsSync(staged) || !existsSync(join(path, name)) ? staged : join(path, name);
  };
  return {
    finished,
    recorded: resumes ? recordsIn(work) : [],
    pathOf,
    record: (file) => writeWhole(work, `${file.name}.done`, json(file)),
    write: (name, content) => writeWhole(join(work, filesName), name, content),
    finish(names) {
      for (const name of names) {
        if (existsSync(join(work, filesName, name))) renameSync(join(work, filesName, name), join(path, name));
        if (name === names.at(-2)) syncFolder(path);
      }
      syncFolder(path);
      rmSync(work, { recursive: true, force: true });
      syncFolder(path);
    },
    release: () => rmSync(join(work, lockName), { force: true }),
  };
}

/** True for a work folder that was not yet begun; BadInput for one that belongs to other work. */
function isAbandoned(given: string, work: string): boolean {
  if (!existsSync(work)) return false;
  if (plannedIdentity(work) === undefined) return true;
  throw new BadInput(
    `${given}: holds the unfinished port of another source, format or state of the source; run that command again, or remove ${work}`,
  );
}

function plannedIdentity(work: string): string | undefined {
  return Plan.safeParse(readJson(join(work, planName))).data?.identity;
}

function finishedIdentity(path: string): string | undefined {
  return Finished.safeParse(readJson(join(path, "port.json"))).data?.identity;
}

function recordsIn(work: string): FileEntry[] {
  return readdirSync(work)
    .filter((name) => name.endsWith(".done"))
    .flatMap((name) => Done.safeParse(readJson(join(work, name))).data ?? []);
}

/** The parsed file; undefined when there is none or it was cut short. */
function readJson(path: string): unknown {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function lock(given: string, work: string): void {
  const path = join(work, lockName);
  const pid = existsSync(path) ? Number(readFileSync(path, "utf8")) : Number.NaN;
  if (Number.isInteger(pid) && pid > 0 && pid !== process.pid && isAlive(pid)) {
    throw new BadInput(
      `${given}: process ${pid} is writing it; wait for it, or remove ${path} if that is something else`,
    );
  }
  writeWhole(work, lockName, new TextEncoder().encode(String(process.pid)));
}

function writeWhole(folder: string, name: string, content: Uint8Array): void {
  const temporary = join(folder, `${name}.tmp`);
  const fd = openSync(temporary, "w", 0o644);
  try {
    for (let done = 0; done < content.length; ) done += writeSync(fd, content, done);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, join(folder, name));
  syncFolder(folder);
}

const json = (value: object): Uint8Array => new TextEncoder().encode(`${JSON.stringify(value)}\n`);
