/**
 * Reads FLEET.yaml from disk, with relative paths in it resolved from its folder.
 * Knows: files, YAML. Does not know: what the keys mean (fleet-file).
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { systemErrorCode } from "../../host/files.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { type FleetFile, parseFleetFile } from "./fleet-file.ts";

/** BadInput when the file cannot be read, is no YAML, or says something that cannot be. */
export function readFleetFile(path: string): FleetFile {
  const fleet = parseFleetFile(parseYaml(readText(path), path), path);
  const from = (relative: string): string => resolve(dirname(path), relative);
  return {
    ...fleet,
    backends: fleet.backends.map((backend) =>
      backend.directory === undefined ? backend : { ...backend, directory: from(backend.directory) },
    ),
    ...(fleet.tls && { tls: { certFile: from(fleet.tls.certFile), keyFile: from(fleet.tls.keyFile) } }),
    ...(fleet.accessLog !== undefined && { accessLog: fleet.accessLog === "-" ? "-" : from(fleet.accessLog) }),
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    throw new BadInput(`${path}: cannot be read (${code}); give a FLEET.yaml or a model's directory`);
  }
}

function parseYaml(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const [first] = String(error instanceof Error ? error.message : error).split("\n");
    throw new BadInput(`${path}: ${first}; mend the YAML there`);
  }
}
