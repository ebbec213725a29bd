/**
 * Turns what a person named into the logs to read: files, folders, patterns and standard input.
 * Knows: paths, links, ranks and attempts in names. Does not know: contents.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { BadInput } from "../spec/bad-input.ts";
import { unreadable } from "./reader.ts";

export interface LogInput {
  /** As it is shown. */
  readonly name: string;
  /** Undefined for standard input. */
  readonly path: string | undefined;
  /** Named by the person itself: that it cannot be read is an error, not a note. */
  readonly named: boolean;
}

const filesMax = 100_000;
const magic = /[*?[\]{}]/;
/** Checkpoints and code lie beside logs. */
const skipped =
  /\.(?:pt|pth|bin|safetensors|distcp|npz?|zip|tar|whl|so|o|pyc|png|jpe?g|pdf|pkl|parquet|arrow|onnx|om|db|idx|metadata)$|(?:^|\/)(?:\.git|node_modules|__pycache__)\//i;

/** Throws BadInput for a name that leads to nothing. `note` is told what is passed over. */
export async function findLogs(given: readonly string[], note: (text: string) => void): Promise<LogInput[]> {
  const inputs: LogInput[] = [];
  for (const name of given) {
    if (name === "-") inputs.push({ name: "-", path: undefined, named: true });
    else inputs.push(...(await expand(name, note)));
  }
  const seen = new Set<string>();
  return inputs.filter(({ name }) => !seen.has(name) && seen.add(name));
}

async function expand(name: string, note: (text: string) => void): Promise<LogInput[]> {
  let info: Awaited<ReturnType<typeof stat>>;
  try {
    info = await stat(name);
  } catch (error) {
    if (magic.test(name)) return matching(name, note);
    throw new BadInput(`${name}: ${unreadable(error).message}; name a log, a folder of logs, or - for standard input`);
  }
  if (!info.isDirectory()) return [{ name, path: name, named: true }];
  const files = await walk(name, note);
  if (files.length === 0) throw new BadInput(`${name}: holds no logs; name a folder with log files`);
  return files.map((path) => ({ name: path, path, named: false }));
}

/** All regular files below, each folder once however many links lead to it. */
async function walk(root: string, note: (text: string) => void): Promise<string[]> {
  const files: string[] = [];
  const visited = new Set<string>();
  const visit = async (folder: string): Promise<void> => {
    try {
      const real = await realpath(folder);
      if (visited.has(real)) return;
      visited.add(real);
      for (const entry of (await readdir(folder)).sort(naturally)) {
        if (files.length >= filesMax) return;
        await take(join(folder, entry));
      }
    } catch (error) {
      note(`${folder}: ${unreadable(error).message}; passed over`);
    }
  };
  const take = async (path: string): Promise<void> => {
    try {
      const info = await stat(path);
      if (info.isDirectory()) await visit(path);
      else if (info.isFile() && !skipped.test(path)) files.push(path);
    } catch (error) {
      note(`${path}: ${unreadable(error).message}; passed over`);
    }
  };
  await visit(root);
  return files;
}

const naturally = (a: string, b: string): number => a.localeCompare(b, "en", { numeric: true });

async function matching(pattern: string, note: (text: string) => void): Promise<LogInput[]> {
  const parts = pattern.split(sep);
  const fixed = parts
    .slice(
      0,
      parts.findIndex((part) => magic.test(part)),
    )
    .join(sep);
  const root = fixed === "" ? (pattern.startsWith(sep) ? sep : ".") : fixed;
  const expression = new RegExp(`^${globToRegex(pattern)}$`);
  const all = await walk(root, note);
  const found = all.filter((path) =>
    expression.test(root === "." && !pattern.startsWith("./") ? path.replace(/^\.\//, "") : path),
  );
  if (found.length === 0)
    throw new BadInput(`${pattern}: matches no file; check the pattern, and quote it against the shell`);
  return found.map((path) => ({ name: path, path, named: false }));
}

/** `**`, `*`, `?`, `[…]` and `{a,b}`, as shells read them. */
function globToRegex(glob: string): string {
  let depth = 0;
  return glob.replace(/\*\*\/?|[*?{},]|\[!?|\]|[.+^$()|\\]/g, (token) => {
    if (token.startsWith("**")) return "(?:.*/)?".replace("/)?", token.endsWith("/") ? "/)?" : ")?");
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token === "{") {
      depth++;
      return "(?:";
    }
    if (token === "}" && depth > 0) {
      depth--;
      return ")";
    }
    if (token === ",") return depth > 0 ? "|" : ",";
    if (token === "[" || token === "]") return token;
    return token === "[!" ? "[^" : `\\${token}`;
  });
}

/** The rank that a log's name tells, as torchrun, Slurm and people write it. */
export function rankInName(path: string): number | undefined {
  const match =
    /(?:^|[/_.-])(?:global_?)?rank[_.-]?(\d{1,6})(?=[/_.-]|$)/i.exec(path) ??
    /attempt_\d+\/(\d{1,6})\/(?:stdout|stderr|error)/.exec(path) ??
    /(?:^|[/_-])worker[_.-]?(\d{1,6})\.(?:log|out|err|txt)/i.exec(path) ??
    /(?:^|\/)(\d{1,5})\/(?:stdout|stderr)(?:\.log|\.txt)?$/.exec(path);
  return match === null ? undefined : Number(match[1]);
}

/** The attempt that a log's path tells: torchrun keeps `attempt_N`. */
export function attemptInName(path: string): number | undefined {
  const match = /(?:^|[/_.-])(?:attempt|restart|epoch)[_.-]?(\d{1,6})(?=[/_.-]|$)/i.exec(path);
  return match === null ? undefined : Number(match[1]);
}
