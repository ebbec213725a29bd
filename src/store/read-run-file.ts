/**
 * Reads `run.yaml`, or says in one line per problem what is wrong, where, and how to mend it.
 * Knows: YAML, line numbers, the schema's keys. Does not know: whether the data or the directory exist.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isMap, isNode, isPair, LineCounter, parseDocument } from "yaml";
import * as z from "zod";
import { fileKind } from "../host/file-kind.ts";
import { systemErrorCode } from "../host/files.ts";
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { RunFile } from "../spec/run-file.ts";
import { identity } from "./identity.ts";

export interface ReadRunFile {
  readonly file: RunFile;
  /** As given, for the run directory's copy. */
  readonly text: string;
  /** Absolute path of the file, and the folder that relative paths in it start from. */
  readonly path: string;
  readonly folder: string;
  readonly identity: string;
}

const maxBytes = 1 << 20;
type Path = readonly PropertyKey[];

/** Reads a `run.yaml`, or the one in a run directory. BadInput lists all problems. */
export function readRunFile(given: string): ReadRunFile {
  const path = resolve(isFolder(given) ? join(given, "run.yaml") : given);
  const shown = isFolder(given) ? join(given, "run.yaml") : given;
  const text = readText(path, shown);
  const file = parseRunFile(text, shown);
  return { file, text, path, folder: dirname(path), identity: identity(file) };
}

const isFolder = (path: string): boolean => fileKind(path) === "folder";

function readText(path: string, shown: string): string {
  let bytes: Buffer;
  if (fileKind(path) === "strange") throw new BadInput(`${shown}: is no regular file; name a run file`);
  try {
    const size = statSync(path).size;
    if (size > maxBytes) throw new BadInput(`${shown}: is ${size} bytes; a run file has at most ${maxBytes}`);
    bytes = readFileSync(path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") throw new BadInput(`${shown}: does not exist; \`dualgauge init\` writes one`);
    if (code !== undefined) throw new BadInput(`${shown}: cannot be read (${code}); check its permissions`);
    throw error;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new BadInput(`${shown}: is not UTF-8 text; save it as UTF-8`);
  }
}

/** The run file that `text` is; `shown` is how the file is called in problems. */
export function parseRunFile(text: string, shown: string): RunFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  // What follows the first syntax error mostly is its echo.
  const [error] = [...document.errors].sort((a, b) => a.pos[0] - b.pos[0]);
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new BadInput(`${shown}:${line}:${col}: ${firstLine(error.message)}; mend the YAML there`);
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new BadInput(`${shown}: ${firstLine(String(error))}; write the values out`);
  }
  const lineOf = (path: Path): number => {
    const position = offsetOf(document, path);
    return position === undefined ? 1 : lines.linePos(position).line;
  };
  const result = RunFile.safeParse(value ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => describeIssue(issue, value));
  problems.sort((a, b) => lineOf(a.path) - lineOf(b.path));
  throw new BadInput(
    ...problems.map(({ path, message }) => `${shown}:${lineOf(path)} ${dotted(path)}: ${message}`.replace(" : ", ": ")),
  );
}

function describeIssue(issue: z.core.$ZodIssue, value: unknown): { path: Path; message: string }[] {
  const { path } = issue;
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(path);
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key${didYouMean(key, known) || `; keys here are ${known.join(", ")}`}`,
    }));
  }
  const given = at(value, path);
  if (issue.code === "invalid_type" && given === undefined) {
    return [{ path, message: `is missing; give ${articled(issue.expected)}` }];
  }
  if (issue.code === "invalid_value") {
    const values = issue.values.map(String);
    const hint = typeof given === "string" ? didYouMean(given, values) : "";
    return [{ path, message: `${short(given)} is unknown${hint || `; use one of ${values.join(", ")}`}` }];
  }
  const message = firstLine(issue.message);
  if (issue.code === "custom") return [{ path, message }];
  return [{ path, message: `${short(given)}: ${lowerFirst(message)}; change it` }];
}

let jsonSchema: unknown;

/** Keys that the schema has at `path`, for suggesting the nearest. */
function knownKeys(path: Path): string[] {
  jsonSchema ??= z.toJSONSchema(RunFile, { io: "input", unrepresentable: "any" });
  let node: unknown = jsonSchema;
  for (const key of path) node = at(node, typeof key === "number" ? ["items"] : ["properties", key]);
  const properties = at(node, ["properties"]);
  return typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
}

function at(value: unknown, path: Path): unknown {
  let node = value;
  for (const key of path) {
    if (typeof node !== "object" || node === null || !Object.hasOwn(node, key)) return undefined;
    node = Reflect.get(node, key);
  }
  return node;
}

/** Offset in the text of the key or item at `path`, or of the nearest thing around it. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: Path): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const parent = length === 0 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    if (length > 0 && isMap(parent)) {
      const pair = parent.items.find((item) => isPair(item) && String(item.key) === String(path[length - 1]));
      if (pair !== undefined && isNode(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return undefined;
}

const dotted = (path: Path): string => path.map(String).join(".");
const firstLine = (text: string): string => text.split("\n")[0]?.trim() ?? "";
const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
const articled = (expected: string): string => (/^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`);

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
