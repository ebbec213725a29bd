/** Real worker processes: the same bytes for any number of them, through damage on the wire, kills and full disks. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, startWorkers } from "../start-workers.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "workers-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function byeOf(running: Running, rank = 0) {
  const bye = running.events(rank).at(-1);
  if (bye?.ev !== "bye") throw new Error(`rank ${rank} said no goodbye:\n${running.output(rank)}`);
  return bye;
}

test("one worker trains", async () => {
  const running = await startWorkers({ folder: join(folder, "one"), workers: 1 });
  expect(await running.ended).toEqual([{ code: 0, signal: null }]);
  console.log(running.events(0).map((e) => JSON.stringify(e)).join("\n"));
  expect(byeOf(running).weightsSha256).toMatch(/^[0-9a-f]{64}$/);
});
