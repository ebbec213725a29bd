/** What the end of a worker means: codes and signals as runtimes, shells and the embedded engine use them. */
import { describe, expect, test } from "vitest";
import { diagnoseEnd } from "./worker-end.ts";

const v8 = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";

describe("the end of a worker", () => {
  test.each<[number | null, string | null, string[], string | undefined, RegExp]>([
    [null, "SIGKILL", [], "process-signal", /SIGKILL/],
    [null, "SIGSEGV", [], "process-signal", /SIGSEGV/],
    [null, "SIGABRT", [v8, " 1: node"], "out-of-memory", /memory/],
    [134, null, [v8], "out-of-memory", /memory/],
    [137, null, [], "process-signal", /137 is SIGKILL/],
    [1, null, ["Traceback (most recent call last):", "RuntimeError: shapes differ"], "program-error", /code 1/],
    [1, null, ["torch.cuda.OutOfMemoryError: CUDA out of memory. Tried"], "out-of-memory", /memory/],
    [3, null, ["bye"], "process-exit", /code 3/],
    [0, null, [], "process-exit", /before the last step/],
    [2, null, ["x"], "bad-input", /refused/],
    [75, null, [], "link-down", /link/],
    [80, null, [], "process-exit", /somebody else/],
    [81, null, [], "corrupt-checkpoint", /checkpoint/],
    [82, null, [], "unsupported-operator", /platform/],
    [83, null, [], "nan", /NaN/],
    [85, null, [], "no-space", /full/],
  ])("code %s, signal %s, last lines %j: %s", (code, signal, lastLines, kind, why) => {
    const diagnosis = diagnoseEnd({ code, signal, lastLines }, false);
    expect(diagnosis?.kind).toBe(kind);
    expect(diagnosis?.why).toMatch(why);
    expect(diagnosis?.evidence[0]).toBe(signal ?? `exit code ${code}`);
  });

  test("is no fault after the last step", () => {
    expect(diagnoseEnd({ code: 0, signal: null, lastLines: [] }, true)).toBeUndefined();
    expect(diagnoseEnd({ code: 1, signal: null, lastLines: [] }, true)).toBeDefined();
  });

  test("words about memory in a killed job's log do not excuse SIGTERM", () => {
    expect(diagnoseEnd({ code: null, signal: "SIGTERM", lastLines: [v8] }, false)?.kind).toBe("process-signal");
  });
});
