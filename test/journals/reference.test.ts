/** docs/reference/journal.md names every event type, and sets exactly the intents in bold. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventTypes, intentTypes } from "../../src/journal/event.ts";

const text = readFileSync(join(import.meta.dirname, "..", "..", "docs", "reference", "journal.md"), "utf8");
const cells = text
  .slice(text.indexOf("## Events"), text.indexOf("## The ladder"))
  .split("\n")
  .flatMap((line) => (line.startsWith("| ") ? [line.split("|")[1] ?? ""] : []));
const named = (pattern: RegExp): string[] => cells.flatMap((cell) => [...cell.matchAll(pattern)].map((match) => match[1] ?? ""));

test("every event type has its row", () => {
  expect(named(/`([a-z-]+)`/g).sort()).toEqual([...eventTypes].sort());
});

test("intents are set in bold, and nothing else is", () => {
  expect(named(/\*\*`([a-z-]+)`\*\*/g).sort()).toEqual([...intentTypes].sort());
});
