/** Keeps the house in order: which folder may import which, how long a file may be, and that no file stands outside a room. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const pure = ["spec", "catalog", "journal", "cost", "planner", "simulator"] as const;

/** For each folder of src, the folders that it may import from; itself always. */
const mayImport: Record<string, readonly string[]> = {
  spec: [],
  catalog: ["spec"],
  journal: ["spec"],
  cost: ["spec", "catalog"],
  planner: ["spec", "catalog", "journal", "cost"],
  simulator: ["spec", "catalog", "journal", "cost", "planner"],
  host: ["spec"],
  devices: ["spec", "catalog", "host"],
  checkpoint: ["spec", "catalog", "host"],
  engine: ["spec", "catalog", "host", "checkpoint"],
  launcher: ["spec", "catalog", "host"],
  diagnosis: ["spec", "catalog", "host"],
  program: ["spec", "catalog", "host", "checkpoint"],
  store: ["spec", "journal", "host"],
  qualification: ["spec", "catalog", "host", "devices", "engine", "checkpoint", "launcher", "diagnosis"],
  porting: ["spec", "catalog", "host", "checkpoint", "engine"],
  serving: ["spec", "catalog", "host", "checkpoint", "engine", "porting"],
  supervisor: [
    "spec",
    "catalog",
    "host",
    "journal",
    "store",
    "planner",
    "checkpoint",
    "launcher",
    "devices",
    "diagnosis",
    "program",
  ],
  server: [...["spec", "catalog", "journal", "cost", "planner", "simulator", "host", "store", "serving", "diagnosis"]],
  cli: [
    ...[
      "spec",
      "catalog",
      "journal",
      "cost",
      "planner",
      "simulator",
      "host",
      "devices",
      "checkpoint",
      "engine",
      "launcher",
    ],
    ...["diagnosis", "program", "store", "qualification", "porting", "serving", "supervisor", "server"],
  ],
};

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") || file.endsWith(".tsx"))
  .map((file) => join("src", file));

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const pattern = /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"|\bimport\("([^"]+)"\)/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? "");
}

const folderOf = (file: string): string => file.split("/")[1] ?? "";

describe("imports run one way", () => {
  test.each(sources.map((file) => [file]))("%s", (file) => {
    const isTest = file.endsWith(".test.ts");
    const folder = folderOf(file);
    if (file === "src/index.ts") return;
    const allowed = mayImport[folder];
    expect(allowed, `src/${folder} is not a room of ARCHITECTURE.md`).toBeDefined();
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith(".")) {
        const target = relative(root, resolve(root, dirname(file), specifier));
        expect(existsSync(join(root, target)), `${file}: ${specifier} does not exist`).toBe(true);
        if (isTest && target.startsWith("test/")) continue;
        expect(specifier, `${file}: write the .ts ending`).toMatch(/\.(ts|tsx|json)$/);
        const to = folderOf(target);
        expect([folder, ...(allowed ?? [])], `${file} imports ${target}`).toContain(to);
      } else if (!isTest && (pure as readonly string[]).includes(folder)) {
        const libraries = { spec: ["zod", "fastest-levenshtein"], planner: ["zod", "highs"] }[folder] ?? ["zod"];
        expect(libraries, `${file} is pure; it cannot import ${specifier}`).toContain(specifier);
      } else if (!isTest && specifier === "onnxruntime-node") {
        expect(folder, `${file}: only engine loads ONNX Runtime`).toBe("engine");
      }
    }
  });
});

describe("pure folders", () => {
  const banned = [/\bDate\.now\(/, /\bnew Date\(\)/, /\bMath\.random\(/, /\bperformance\.now\(/, /\bprocess\.[a-z]/];
  test.each(
    sources
      .filter((file) => (pure as readonly string[]).includes(folderOf(file)) && !file.endsWith(".test.ts"))
      .map((f) => [f]),
  )("%s has no clock, no process and no unseeded randomness", (file) => {
    const text = readFileSync(join(root, file), "utf8");
    for (const ban of banned) expect(text).not.toMatch(ban);
  });
});

test("no file is longer than 500 lines", () => {
  const long = trackedFiles()
    .filter((file) => /\.(ts|tsx|mjs|js)$/.test(file) && existsSync(join(root, file)))
    .map((file) => ({ file, lines: readFileSync(join(root, file), "utf8").split("\n").length - 1 }))
    .filter(({ lines }) => lines > 500);
  expect(long).toEqual([]);
});

test("README.md has at most 120 lines", () => {
  expect(readFileSync(join(root, "README.md"), "utf8").split("\n").length - 1).toBeLessThanOrEqual(120);
});

test("no stray files", () => {
  const top = new Set([
    ...[
      "README.md",
      "ARCHITECTURE.md",
      "CONTRIBUTING.md",
      "CHANGELOG.md",
      "LICENSE",
      "package.json",
      "package-lock.json",
    ],
    ...["tsconfig.json", "tsconfig.build.json", "vitest.config.ts", "biome.json", ".gitignore", ".npmrc"],
  ]);
  const rooms = new Set(["src", "test", "bin", "scripts", "examples", "bench", "docs", ".ci"]);
  const stray = trackedFiles().filter((file) => {
    const [first = ""] = file.split("/");
    return file.includes("/") ? !rooms.has(first) : !top.has(file);
  });
  expect(stray).toEqual([]);
  const misnamed = trackedFiles().filter((file) => /(^|\/)(utils?|helpers?|misc|common)\.(ts|mjs)$/.test(file));
  expect(misnamed, "name a file after what it does").toEqual([]);
});

function trackedFiles(): string[] {
  return execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  })
    .split("\n")
    .filter(Boolean);
}
