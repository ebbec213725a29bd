/**
 * Finds the compiled file that a separate process is started from.
 * Knows: that everything runs from `dist`, also when this file runs from `src` under the test runner. Does not know: what it starts.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BadInput } from "../spec/bad-input.ts";

/** Absolute path of `dist/<name>.js`, e.g. `supervisor/agent-main`. */
export function entryPoint(name: string): string {
  const path = join(packageRoot(), "dist", `${name}.js`);
  if (!existsSync(path)) throw new BadInput(`${path}: is missing; build it with \`npm run setup\``);
  return path;
}

export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json above ${import.meta.url}`);
    folder = parent;
  }
  return folder;
}
