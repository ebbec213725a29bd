/**
 * Finds the text files that a run file names: files, folders, patterns and files of installed npm packages.
 * Knows: paths. Does not know: what is in the files.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, parse, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BadInput } from "../spec/bad-input.ts";
import type { DataSource } from "../spec/run-file.ts";

export interface TextFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMilliseconds: number;
}

const filesMax = 1_000_000;
const isText = (name: string): boolean => /\.(txt|jsonl)$/i.test(name);

/**
 * `data` with absolute paths, relative ones taken from the run file's folder and `npm:<package>/<path>` from the nearest
 * `node_modules` above it, then above dualgauge itself. BadInput names every package that is not installed.
 */
export function resolveData(data: DataSource, folder: string): DataSource {
  const { files, tokenizer, ...rest } = data.text;
  const problems: string[] = [];
  const resolved = files.map((file) => {
    if (!file.startsWith("npm:")) return resolve(folder, file);
    const found = packagePath(file.slice("npm:".length), folder);
    if (found === undefined) problems.push(`data.text.files: ${file}: no such package in node_modules; npm install it`);
    return found ?? file;
  });
  if (problems.length > 0) throw new BadInput(...problems);
  return {
    text: { ...rest, files: resolved, tokenizer: tokenizer === "byte" ? tokenizer : resolve(folder, tokenizer) },
  };
}

function packagePath(specifier: string, folder: string): string | undefined {
  const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "";
  if (name === "" || specifier.split("/").includes("..")) return undefined;
  for (const start of [resolve(folder), dirname(fileURLToPath(import.meta.url))]) {
    for (let at = start; ; at = dirname(at)) {
      if (existsSync(join(at, "node_modules", name, "package.json"))) return join(at, "node_modules", specifier);
      if (at === parse(at).root) break;
    }
  }
  return undefined;
}

/** Every text file behind absolute `paths`, in order, those of a folder or pattern by name with numbers compared as numbers. */
export function findTextFiles(paths: readonly string[]): readonly TextFile[] {
  const problems: string[] = [];
  const found: TextFile[] = [];
  for (const path of paths) {
    try {
      const names = expand(path);
      if (names.length === 0) problems.push(`data.text.files: ${path}: no .txt or .jsonl file there; name one`);
      for (const name of names) {
        const stat = statSync(name);
        // A pipe that nobody writes to would be waited for, a device has no end.
        if (!stat.isFile()) problems.push(`data.text.files: ${name}: is no regular file; name another or take it away`);
        const { size, mtimeMs } = stat;
        found.push({ path: name, bytes: size, modifiedMilliseconds: mtimeMs });
      }
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      const why = code === "ENOENT" ? "does not exist" : `cannot be read (${code})`;
      problems.push(`data.text.files: ${path}: ${why}; name a .txt or .jsonl file or a folder of them`);
    }
  }
  if (found.length > filesMax) problems.push(`data.text.files: more than ${filesMax} files; join them`);
  if (problems.length > 0) throw new BadInput(...problems);
  return found;
}

function expand(path: string): string[] {
  if (!isAbsolute(path)) throw new BadInput(`data.text.files: ${path}: not an absolute path; resolve it first`);
  const name = basename(path);
  if (name.includes("*") && !existsSync(path)) {
    const pattern = new RegExp(`^${name.split("*").map(escapeRegExp).join(".*")}$`);
    const entries = readdirSync(dirname(path), { withFileTypes: true });
    const matching = entries.filter((entry) => !entry.isDirectory() && pattern.test(entry.name) && isText(entry.name));
    return sorted(matching.map((entry) => join(dirname(path), entry.name)));
  }
  if (!statSync(path).isDirectory()) return isText(path) ? [path] : [];
  return sorted(textsBelow(path));
}

/**
 * A linked folder is not followed, so that a loop of links ends (readdir's own `recursive` follows links on Node 24 and not
 * on Node 20). A run's own directory is not text, wherever it was put.
 */
function textsBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  if (entries.some((entry) => entry.name === "journal.jsonl")) return [];
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? textsBelow(path) : isText(entry.name) ? [path] : [];
  });
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** By name, runs of digits as numbers: chapter_2 before chapter_10, the same everywhere (no locale). */
function sorted(names: readonly string[]): string[] {
  const key = (name: string): string => name.replace(/\d+/g, (digits) => `${digits.padStart(20, "0")}`);
  return [...names].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a < b ? -1 : 1));
}
