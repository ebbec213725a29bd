/**
 * Which vendors' tools are on PATH.
 * Knows: their names. Does not know: what they say.
 */
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ascendTool } from "./look-ascend.ts";
import { nvidiaTool } from "./look-nvidia.ts";

export function telemetryTools(path = process.env.PATH ?? ""): string[] {
  const folders = path.split(delimiter).filter((folder) => folder !== "");
  return [nvidiaTool, ascendTool].filter((tool) => folders.some((folder) => isExecutable(join(folder, tool))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent or not allowed: the same to whoever wants to ask it
  }
}
