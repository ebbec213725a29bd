/**
 * Keeps built programs in a folder, so that a restarted worker need not build them again.
 * Knows: files, the build that made them. Does not know: graphs.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Program } from "./program.ts";

const tensors = z.array(
  z.strictObject({ name: z.string(), dtype: z.enum(["float32", "int64"]), shape: z.array(z.int()).readonly() }),
);
const Header = z.strictObject({
  parameters: z.array(z.string()),
  inputs: tensors,
  outputs: tensors,
  operators: z.array(z.string()),
  /** Of the ONNX bytes that follow. */
  sha256: z.string(),
});

/** The program that `build` makes, from the folder where one of the same build of dualgauge and the same `key` is there. */
export function cachedProgram(folder: string, key: unknown, build: () => Program): Program {
  const version = buildVersion();
  if (version === undefined) return build();
  const name = createHash("sha256").update(version).update(JSON.stringify(key)).digest("hex").slice(0, 40);
  const file = join(folder, `${name}.program`);
  return read(file) ?? write(folder, file, build());
}

/** The build's stamp (scripts/setup.mjs); undefined where sources run unbuilt, for they may change at any time. */
function buildVersion(): string | undefined {
  const stamp = new URL("../.sources", import.meta.url);
  return existsSync(stamp) ? readFileSync(stamp, "utf8") : undefined;
}

function read(file: string): Program | undefined {
  if (!existsSync(file)) return undefined;
  const bytes = readFileSync(file);
  const end = bytes.indexOf(10);
  try {
    const { sha256, ...header } = Header.parse(JSON.parse(bytes.subarray(0, end).toString("utf8")));
    const onnx = new Uint8Array(bytes.subarray(end + 1));
    return sha256 === digest(onnx) ? { ...header, onnx } : undefined;
  } catch {
    // Torn or damaged: it is only a cache, so it is made again.
    return undefined;
  }
}

function write(folder: string, file: string, program: Program): Program {
  const { onnx, ...header } = program;
  mkdirSync(folder, { recursive: true });
  const temporary = `${file}.${process.pid}`;
  const first = Buffer.from(`${JSON.stringify({ ...header, sha256: digest(onnx) })}\n`);
  writeFileSync(temporary, Buffer.concat([first, onnx]));
  renameSync(temporary, file);
  return program;
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
