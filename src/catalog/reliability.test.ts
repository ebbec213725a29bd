/** Tests that the published failure figures agree with themselves and that look-ups refuse what they do not know. */
import { expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import {
  failuresPerNodeDay,
  publishedCauses,
  ratePrior,
  reliabilityFor,
  reliabilityRecord,
  reliabilityRecords,
} from "./reliability.ts";

test("ids are unique, rates are those of counts over exposure, every record has a source", () => {
  expect(new Set(reliabilityRecords.map(({ id }) => id)).size).toBe(reliabilityRecords.length);
  for (const { faults, nodeDays, failuresPerNodeDay: rate, source, date } of reliabilityRecords) {
    if (faults !== undefined && nodeDays !== undefined) expect(rate).toBeCloseTo(faults / nodeDays, 9);
    expect(source.length).toBeGreaterThan(10);
    expect(date).toMatch(/^\d{4}-\d{2}-\d{2}$/);
  }
});

test("the shares of causes add up to one, and devices with their memory are the published 58.7 % and more", () => {
  expect(publishedCauses.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
  const device = publishedCauses.filter(({ name }) => /device|thermal|silent/.test(name));
  // The article's 58.7 % is the category "GPU"; SRAM, processor, thermal and silent corruption are part of it here.
  expect(device.reduce((sum, { share }) => sum + share, 0)).toBeGreaterThan(0.587);
});

test("the published MTTF follows from the published rate: 1.80 h at 16,384 devices of RSC-1, 3.09 h for Llama 3", () => {
  for (const id of ["rsc-1-a100", "llama-3-h100"]) {
    const { failuresPerNodeDay: rate, devices, devicesPerNode, published } = reliabilityRecord(id);
    const hours = 24 / (rate * (devices / devicesPerNode));
    expect(Math.abs(hours / (published.mttfHours ?? 0) - 1)).toBeLessThan(0.01);
  }
});

test("the prior has the mean of the rates and is wide enough to hold the worst and the best of them", () => {
  const rates = reliabilityRecords.filter((r) => !r.excludedFromPrior).map((r) => r.failuresPerNodeDay);
  const { shape, nodeDays } = ratePrior();
  expect(shape / nodeDays).toBeCloseTo(rates.reduce((a, b) => a + b, 0) / rates.length, 12);
  // The likelihood is flat at the maximum: a shape a little higher or lower explains the rates less well.
  const logLikelihood = (a: number): number => {
    const b = (a * rates.length) / rates.reduce((x, y) => x + y, 0);
    return rates.reduce((sum, rate) => sum + a * Math.log(b) + (a - 1) * Math.log(rate) - b * rate - logGamma(a), 0);
  };
  expect(logLikelihood(shape)).toBeGreaterThan(logLikelihood(shape * 1.02));
  expect(logLikelihood(shape)).toBeGreaterThan(logLikelihood(shape * 0.98));
  expect(ratePrior({ without: "opt-175b-a100" }).shape).toBeGreaterThan(shape);
});

test("a rate or an id is accepted; anything else is refused in one line", () => {
  expect(failuresPerNodeDay("6.5e-3")).toBe(6.5e-3);
  expect(failuresPerNodeDay("rsc-2-a100")).toBe(2.34e-3);
  expect(() => failuresPerNodeDay("rsc-2-a10")).toThrow(/did you mean rsc-2-a100/);
  for (const bad of ["0", "-1", "1e9", Number.NaN, Number.POSITIVE_INFINITY, ""])
    expect(() => failuresPerNodeDay(bad)).toThrow(BadInput);
});

test("an accelerator finds its own record, then its generation's, and an Ascend none: nobody published a count", () => {
  expect(reliabilityFor("h100-sxm")?.id).toBe("llama-3-h100");
  expect(reliabilityFor("h20")?.id).toBeDefined();
  expect(reliabilityFor("ascend-910b3")).toBeUndefined();
});

/** log Γ by Stirling's series above 10, enough for the test. */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 10; at++) shift -= Math.log(at);
  return shift + (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * at) - 1 / (360 * at ** 3);
}
