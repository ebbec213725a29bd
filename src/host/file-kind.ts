/**
 * What stands where a file or a folder is expected.
 * Knows: kinds of files. Does not know: what is in them. A pipe that nobody writes to must not be opened to find that out.
 */
import { statSync } from "node:fs";
import { systemErrorCode } from "./files.ts";

/** `strange`: a device, a socket, or a pipe by a name in a folder; a pipe that a shell has opened (`<(…)`) is a file. */
export type FileKind = "file" | "folder" | "strange" | "absent" | "unreadable";

export function fileKind(path: string): FileKind {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return "folder";
    const isOpened = stat.isFIFO() && /^\/(?:dev\/(?:fd\/\d+|stdin)|proc\/self\/fd\/\d+)$/.test(path);
    return stat.isFile() || isOpened ? "file" : "strange";
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code === "ENOENT" || code === "ENOTDIR" ? "absent" : "unreadable";
  }
}
