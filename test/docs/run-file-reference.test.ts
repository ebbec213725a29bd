/** docs/reference/run-file.md says all that the schema has, and nothing else; `npx vitest run test/docs -u` rewrites it. */
import { expect, test } from "vitest";
import { meanings } from "./run-file-keys.ts";
import { keys, page } from "./run-file-reference.ts";

test("every key has a meaning, and no meaning is of a key that is gone", () => {
  expect(Object.keys(meanings).sort()).toEqual(
    keys()
      .map(({ path }) => path)
      .sort(),
  );
});

test("the page is current", async () => {
  await expect(page(meanings)).toMatchFileSnapshot("../../docs/reference/run-file.md");
});
