/** Tests chunks against what the coding says. */
import { expect, test } from "vitest";
import { framed } from "./chunk-frame.ts";

const bytes = (text: string): Buffer => Buffer.from(text);

test("parts are one chunk, with its length in hexadecimal bytes", () => {
  expect(String(framed([bytes("data: é"), bytes("\n\n0123456789")], { last: false }))).toBe(
    "14\r\ndata: é\n\n0123456789\r\n",
  );
});

test("the last chunk is followed by the end, and an empty one is the end alone", () => {
  expect(String(framed([bytes("x")], { last: true }))).toBe("1\r\nx\r\n0\r\n\r\n");
  expect(String(framed([], { last: true }))).toBe("0\r\n\r\n");
  expect(framed([bytes("")], { last: false }).length).toBe(0);
});
