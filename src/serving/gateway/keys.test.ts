/** Tests who may ask, and how often, with time as a value. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createKeys } from "./keys.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const keys = createKeys([
  { name: "a", sha256: sha256("secret-a"), requestsPerMinute: 2 },
  { name: "b", sha256: sha256("secret-b"), tokensPerMinute: 600 },
]);

test("a key is known by its hash, nothing else is", () => {
  expect(keys.callerOf("Bearer secret-a").name).toBe("a");
  expect(keys.callerOf("bearer secret-b").name).toBe("b");
  for (const wrong of [
    undefined,
    "",
    "secret-a",
    "Bearer",
    "Bearer secret-",
    `Bearer ${sha256("secret-a")}`,
    "Basic secret-a",
  ])
    expect(() => keys.callerOf(wrong)).toThrow(expect.objectContaining({ status: 401 }));
});

test("requests are limited per minute and come back evenly", () => {
  const caller = keys.callerOf("Bearer secret-a");
  caller.admit(0);
  caller.admit(0);
  expect(() => caller.admit(1)).toThrow(expect.objectContaining({ status: 429, retryAfterSeconds: 29 }));
  caller.admit(30);
  expect(() => caller.admit(30)).toThrow(/2 requests a minute/);
});

test("tokens are limited by what answers cost", () => {
  const caller = keys.callerOf("Bearer secret-b");
  caller.admit(0);
  caller.spend(900, 0);
  expect(() => caller.admit(0)).toThrow(expect.objectContaining({ retryAfterSeconds: 30.1 }));
  caller.admit(30.1);
});

test("a new file keeps the level of a key that it still has", () => {
  const again = createKeys([{ name: "a", sha256: sha256("secret-a"), requestsPerMinute: 2 }], keys.callers);
  expect(() => again.callerOf("Bearer secret-a").admit(30)).toThrow(/limit/);
});
