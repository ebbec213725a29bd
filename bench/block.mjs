/** Writes a block of measured figures into a document, between `<!-- by: COMMAND -->` and `<!-- end -->`. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

/** Replaces the block of `command` in `file`, or appends it. */
export function writeBlock(file, command, text) {
  const begin = `<!-- by: ${command} -->`;
  const block = `${begin}\n${text.trim()}\n<!-- end -->`;
  const before = existsSync(file)
    ? readFileSync(file, "utf8")
    : "# Performance\n\nFigures are written by the commands that measured them.\n";
  const at = before.indexOf(begin);
  const end = before.indexOf("<!-- end -->", at);
  const after =
    at < 0
      ? `${before.trimEnd()}\n\n${block}\n`
      : before.slice(0, at) + block + before.slice(end + "<!-- end -->".length);
  writeFileSync(file, after);
}

/** One line saying where and when: processor, cores, how busy they are, Node, date, commit. */
export function provenance() {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const dirty = execFileSync("git", ["status", "--porcelain", "--untracked-files=no"], { encoding: "utf8" }).trim()
    ? " with changes"
    : "";
  const processors = cpus();
  return `${processors[0]?.model.trim() ?? "unknown"}, ${processors.length} cores (load average ${loadavg()[0].toFixed(1)}), Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}, commit ${commit}${dirty}`;
}
