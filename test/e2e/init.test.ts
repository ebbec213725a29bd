/** From a folder of text to a trained model: what `init` writes passes `check` and trains through its fault. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { start, temporaryFolder } from "./command.ts";

test("init, check, train in a folder of one's own text", { timeout: 180_000 }, async () => {
  using folder = temporaryFolder();
  const cwd = folder.path;
  const run = (...args: string[]) => start(args, { cwd }).finished;
  mkdirSync(join(cwd, "books"));
  writeFileSync(
    join(cwd, "books", "one.txt"),
    "Whenever it is a damp, drizzly November in my soul, I go to sea. ".repeat(300),
  );
  const written = await run("init", ".", "--name", "My Run");
  expect(written).toMatchObject({ code: 0, stderr: "" });
  expect(written.stdout).toContain("next: dualgauge check run.yaml");
  expect(readFileSync(join(cwd, "run.yaml"), "utf8")).toMatch(/^name: my-run$/m);
  const checked = JSON.parse((await run("check", "run.yaml", "--json")).stdout);
  expect(checked).toMatchObject({ ok: true, run: "my-run" });
  // As many steps as the fault in the template needs; the rest of the 200 would only take time.
  const file = join(cwd, "run.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("steps: 200", "steps: 36"));
  const trained = await run("train", "run.yaml", "--json");
  expect(trained.code).toBe(0);
  const { state, faults, finalLoss, validationLoss } = JSON.parse(trained.stdout);
  expect({ state, fired: faults.map(({ kind, fired }: { kind: string; fired: boolean }) => [kind, fired]) }).toEqual({
    state: "finished",
    fired: [["crash", true]],
  });
  expect(finalLoss).toBeLessThan(checked.unigramEntropy);
  expect(validationLoss).toBeLessThan(checked.unigramEntropy);
  // The run's own files, which now lie below the text, are not text.
  expect(await run("check", "run.yaml")).toMatchObject({ code: 0 });
});
