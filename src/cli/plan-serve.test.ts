import { Command } from "commander";
import { afterEach, expect, test, vi } from "vitest";
import { register } from "./plan-serve.ts";

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** What the verb writes to standard output for these words. */
async function answer(...words: string[]): Promise<string> {
  let text = "";
  vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  const program = new Command("plan").exitOverride();
  register(program);
  await program.parseAsync(["serve", ...words], { from: "user" });
  vi.restoreAllMocks();
  return text;
}

const question =
  "--model llama-3.1-70b --accelerator h100-sxm --devices 8 --isl 1000 --osl 500 --ttft 1 --tpot 0.05".split(" ");

test("one JSON document with the answer, the best plan, its accuracy, alternatives and rejections", async () => {
  const result = JSON.parse(await answer(...question, "--json"));
  expect(result.answer).toMatch(/output tokens\/s per device/);
  expect(result.best.tokensPerSecondPerDevice).toBeGreaterThan(0);
  expect(result.best.decode.layout).toEqual({ tp: expect.any(Number), dp: 1, ep: 1, pp: 1 });
  expect(["interpolated", "extrapolated"]).toContain(result.best.accuracy.basis);
  expect(result.best.accuracy.nearest.length).toBeGreaterThan(0);
  expect(result.evaluated).toBeGreaterThan(0);
  expect(Object.keys(result.rejected).length).toBeGreaterThan(0);
});

test("the answer comes first, and the table fits 100 columns", async () => {
  const lines = (await answer(...question)).split("\n");
  expect(lines[0]).toMatch(/^[\d,]+ output tokens\/s per device/);
  expect(lines.find((line) => !line.startsWith(" ") && line !== lines[0])).toMatch(/^accuracy: /);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(100);
});

test("an objective out of reach is a negative verdict", async () => {
  const text = await answer(...question.slice(0, -1), "0.0001");
  expect(text).toMatch(/^cannot serve llama-3.1-70b/);
  expect(process.exitCode).toBe(1);
});

test("--emit prints a command that divides", async () => {
  const text = await answer(...question, "--disaggregate", "no", "--emit", "vllm");
  expect(text).toMatch(/vllm serve \$MODEL \\\n {2}--tensor-parallel-size [1248] /);
  await expect(answer(...question, "--emit", "ollama")).rejects.toThrow(/^--emit: ollama is not known/);
});

test("a configuration that is not JSON, a missing file and an unknown preset are refused in one line", async () => {
  const with_ = (model: string): string[] => ["--model", model, ...question.slice(2)];
  await expect(answer(...with_("package-lock.json"))).rejects.toThrow(/package-lock.json/);
  await expect(answer(...with_("./no-such-config.json"))).rejects.toThrow(/--model: unknown model/);
  await expect(answer(...with_("llama-3.1-71b"))).rejects.toThrow(/did you mean llama-3.1-70b/);
});
