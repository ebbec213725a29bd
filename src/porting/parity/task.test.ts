/** Intervals and paired tests against published and enumerated values; seals that break when a report is touched. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { sealReport, verifyReport } from "./seal-report.ts";
import { accuracy, mcNemar } from "./task.ts";

test("Wilson's interval: Newcombe 1998, table I (81 of 263: 0.2553 to 0.3662), and the ends", () => {
  const { low, high } = accuracy(81, 263);
  expect(low).toBeCloseTo(0.2553, 4);
  expect(high).toBeCloseTo(0.3662, 4);
  expect(accuracy(0, 20)).toMatchObject({ low: 0 });
  expect(accuracy(0, 20).high).toBeCloseTo(0.1611, 4);
  expect(accuracy(20, 20)).toMatchObject({ high: 1 });
  expect(accuracy(0, 0)).toMatchObject({ low: 0, high: 1 });
  // One prompt, right: 1 / (1 + 1.96²) by hand.
  expect(accuracy(1, 1)).toMatchObject({ high: 1 });
  expect(accuracy(1, 1).low).toBeCloseTo(0.20654, 4);
});

test("McNemar's exact probability is the two-sided binomial sum", () => {
  const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);
  fc.assert(
    fc.property(fc.nat(20), fc.nat(20), (a, b) => {
      const [n, fewer] = [a + b, Math.min(a, b)];
      let sum = 0;
      for (let k = 0; k <= fewer; k++) sum += choose(n, k) / 2 ** n;
      expect(mcNemar(a, b)).toBeCloseTo(n === 0 ? 1 : Math.min(1, 2 * sum), 10);
    }),
    { seed: 4 },
  );
  expect(mcNemar(0, 6)).toBeCloseTo(0.03125, 12);
  // By hand: 2 · (1 + 9) / 512; and one prompt alone, or none that parts the sides, shows nothing.
  expect(mcNemar(1, 8)).toBeCloseTo(0.0390625, 12);
  expect([mcNemar(1, 0), mcNemar(0, 0), mcNemar(1, 1)]).toEqual([1, 1, 1]);
  expect(mcNemar(30_000, 30_000)).toBe(1);
  expect(mcNemar(0, 5000)).toBeLessThan(1e-300);
});

describe("a sealed report", () => {
  const root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const report = {
    verdict: "same",
    a: { contentSha256: "a" },
    b: { contentSha256: "b" },
    nan: Number.NaN,
    deep: [{ y: 1, x: 2 }],
  };
  const [privateFile, publicFile] = [join(root, "key.pem"), join(root, "public.pem")];
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  writeFileSync(privateFile, privateKey.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(publicFile, publicKey.export({ type: "spki", format: "pem" }));
  const write = (document: object): string => {
    const file = join(root, "compare.json");
    writeFileSync(file, JSON.stringify(document, null, 2));
    return file;
  };

  test("verifies as it was written, whatever its spaces and order of keys", () => {
    const sealed = sealReport(report, privateFile);
    expect(verifyReport(write(sealed), publicFile)).toMatchObject({ problems: [], verdict: "same" });
    const reversed = Object.fromEntries(Object.entries(sealed).reverse());
    expect(verifyReport(write(reversed), publicFile).problems).toEqual([]);
  });

  test.each<[string, (sealed: Record<string, unknown>) => void, string]>([
    [
      "a changed verdict",
      (sealed) => void Object.assign(sealed, { verdict: "different" }),
      "its content is not what its hash says",
    ],
    [
      "another hash",
      (sealed) => void Object.assign(sealed, { reportSha256: "0".repeat(64) }),
      "its signature does not fit",
    ],
    ["no signature", (sealed) => void delete sealed.signature, "it is not signed"],
  ])("%s is told", (_, change, problem) => {
    const sealed: Record<string, unknown> = { ...sealReport(report, privateFile) };
    change(sealed);
    expect(verifyReport(write(sealed), publicFile).problems).toContain(problem);
  });

  test("another key, a key that is none, and a file that is no report", () => {
    const stranger = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" });
    const other = join(root, "other.pem");
    writeFileSync(other, stranger);
    expect(verifyReport(write(sealReport(report, privateFile)), other).problems).toEqual([
      "it was signed with another key",
    ]);
    expect(() => sealReport(report, write(report))).toThrow(/cannot be read as a key in PEM/);
    expect(() => verifyReport(write({ a: 1 }))).toThrow(/is no report/);
  });
});
