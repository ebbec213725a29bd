/** The story that the documents show is the one that the code tells, and every link in the documents leads somewhere. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { loadRun } from "../../src/cli/load-run.ts";
import { fleet } from "../../src/cli/render/fleet.ts";
import { columns } from "../../src/cli/render/layout.ts";

const root = resolve(import.meta.dirname, "../..");
const read = (name: string): string => readFileSync(join(root, name), "utf8");

describe("the recorded story", () => {
  const told = read("docs/story.md");

  test("introduces the example as it is now", () => {
    const run = loadRun(join(root, "examples/two-gauges/run.yaml"));
    const lines = fleet(run.file, run).map(({ text }) => text);
    expect(told).toContain(lines.join("\n"));
  });
  test("goes through every fault of the example, and none is left that did not strike", () => {
    const run = loadRun(join(root, "examples/two-gauges/run.yaml"));
    for (const fault of run.file.pools.flatMap(({ emulate }) => emulate.faults)) {
      expect(told).toMatch(new RegExp(`lets "${fault.kind}" strike rank ${fault.rank} in step \\d+`));
    }
    expect(told).not.toMatch(/not fired/);
    expect(told).toMatch(/done +fail-over: the run leaves pool ascend for pool nvidia/);
    expect(told).toMatch(/, 0 steps lost, ETTR /);
  });
  test("is what README.md shows a part of", () => {
    const block = /```text\n([\s\S]*?)```/.exec(read("README.md"))?.[1] ?? "";
    const rows = block.trimEnd().split("\n").slice(1);
    expect(rows.length).toBeGreaterThan(20);
    let rest = told;
    for (const row of rows) {
      expect(row.length).toBeLessThanOrEqual(columns);
      const part = row.replace(/ *…$/, "");
      expect(rest).toContain(part);
      rest = rest.slice(rest.indexOf(part));
    }
  });
});

const documents = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8",
})
  .split("\n")
  .filter(Boolean);

test.each(documents)("links of %s lead somewhere", (name) => {
  for (const [, target = ""] of read(name).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    expect(existsSync(join(root, dirname(name), target)), `${name}: ${target}`).toBe(true);
  }
});
