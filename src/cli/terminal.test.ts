/** What is written on a terminal, without one, and where colour is not wanted. */
import { describe, expect, test } from "vitest";
import { line } from "./render/layout.ts";
import { terminal } from "./terminal.ts";

function written(
  isTTY: boolean,
  environment: NodeJS.ProcessEnv,
  act: (shown: ReturnType<typeof terminal>) => void,
): string {
  let text = "";
  const write = (part: string | Uint8Array): boolean => {
    text += part;
    return true;
  };
  act(terminal({ write, columns: 40, isTTY }, environment));
  return text;
}
const act = (shown: ReturnType<typeof terminal>): void => {
  shown.live(0.5, "step 1/2 and much more than fits into this window");
  shown.print([line("fault", "bad")]);
  shown.live(0.5, "step 1/2 and much more than fits into this window");
  shown.end();
};

describe("terminal", () => {
  test("without a TTY only lines are written, without escapes", () => {
    expect(written(false, {}, act)).toBe("fault\n");
    expect(written(true, { TERM: "dumb" }, act)).toBe("fault\n");
  });
  test("on a TTY the live line stays below what is printed, fits the window and goes away", () => {
    const bar = "[########........] step 1/2 and much mo";
    expect(bar).toHaveLength(39);
    const clear = "\r\u001b[2K";
    expect(written(true, {}, act)).toBe(`${clear}${bar}${clear}\u001b[31mfault\u001b[0m\n${bar}${clear}`);
  });
  test("NO_COLOR leaves the bar and takes the colour", () => {
    expect(written(true, { NO_COLOR: "1" }, act)).not.toContain("\u001b[31m");
  });
});
