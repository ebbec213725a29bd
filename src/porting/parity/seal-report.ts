/**
 * Makes a report that cannot be changed unnoticed: a hash over its canonical JSON inside it, and a signature where there is a key.
 * Knows: canonical JSON (RFC 8785's order of keys), SHA-256, Ed25519. Does not know: what a report says.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";

export interface Seal {
  /** Of the report's canonical JSON without this and `signature`. */
  readonly reportSha256: string;
  readonly signature?: { readonly algorithm: "ed25519"; readonly publicKey: string; readonly value: string };
}

/** JSON with sorted keys and no spaces; what is no finite number becomes null, as in any JSON. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, held: unknown) =>
    held !== null && typeof held === "object" && !Array.isArray(held)
      ? Object.fromEntries(Object.entries(held).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : held,
  );
}

/** The report with its seal; BadInput where `keyFile` holds no Ed25519 private key in PEM. */
export function sealReport<T extends object>(report: T, keyFile?: string): T & Seal {
  const key = keyFile === undefined ? undefined : signingKey(keyFile);
  const reportSha256 = digest(report);
  if (!key) return { ...report, reportSha256 };
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" }).toString("base64");
  const value = sign(null, Buffer.from(reportSha256, "hex"), key).toString("base64");
  return { ...report, reportSha256, signature: { algorithm: "ed25519", publicKey, value } };
}

/** BadInput where the file holds no Ed25519 private key in PEM. */
export function signingKey(file: string): KeyObject {
  return ed25519Key("--sign", file, createPrivateKey, "openssl genpkey -algorithm ed25519 -out KEY.pem makes one");
}

function ed25519Key(option: string, file: string, read: (pem: string) => KeyObject, mend: string): KeyObject {
  let key: KeyObject;
  try {
    key = read(readFileSync(file, "utf8"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no key";
    throw new BadInput(`${option} ${file}: cannot be read as a key in PEM (${code}); ${mend}`);
  }
  if (key.asymmetricKeyType !== "ed25519") throw new BadInput(`${option} ${file}: is no Ed25519 key; ${mend}`);
  return key;
}

const digest = (report: unknown): string =>
  createHash("sha256")
    .update(canonicalJson(JSON.parse(JSON.stringify(report))))
    .digest("hex");

const Sealed = z.looseObject({
  verdict: z.enum(["same", "within tolerance", "different"]),
  a: z.looseObject({ contentSha256: z.string() }),
  b: z.looseObject({ contentSha256: z.string() }),
  reportSha256: z.string(),
  signature: z
    .strictObject({ algorithm: z.literal("ed25519"), publicKey: z.string().max(200), value: z.string().max(200) })
    .optional(),
});

export interface Verification {
  readonly file: string;
  readonly verdict: string;
  readonly a: string;
  readonly b: string;
  readonly reportSha256: string;
  /** SHA-256 of the key that signed it; null where nobody did. */
  readonly signedBy: string | null;
  /** Empty where the report is as it was written, and signed by `keyFile` where one was asked for. */
  readonly problems: readonly string[];
}

const reportBytesMax = 1 << 30;

/** Checks a report's seal; `keyFile` names the public key that must have signed it. BadInput where it is no report. */
export function verifyReport(file: string, keyFile?: string): Verification {
  const wanted =
    keyFile === undefined
      ? undefined
      : ed25519Key("--key", keyFile, (pem) => createPublicKey(pem), "give the public key in PEM");
  let json: unknown;
  try {
    if (statSync(file).size > reportBytesMax) throw new BadInput(`${file}: is larger than a report; give compare.json`);
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(`${file}: cannot be read as JSON; give the compare.json that --report wrote`);
  }
  const parsed = Sealed.safeParse(json);
  if (!parsed.success || json === null || typeof json !== "object") {
    throw new BadInput(`${file}: is no report of a comparison; give the compare.json that --report wrote`);
  }
  const { verdict, a, b, reportSha256, signature } = parsed.data;
  const body = Object.fromEntries(
    Object.entries(json).filter(([key]) => key !== "reportSha256" && key !== "signature"),
  );
  const problems: string[] = [];
  if (digest(body) !== reportSha256) problems.push("its content is not what its hash says");
  if (signature) problems.push(...signatureProblems(reportSha256, signature, wanted));
  else if (wanted) problems.push("it is not signed");
  const signedBy = signature
    ? createHash("sha256").update(Buffer.from(signature.publicKey, "base64")).digest("hex")
    : null;
  return { ...{ file, verdict, reportSha256, signedBy, problems }, a: a.contentSha256, b: b.contentSha256 };
}

function signatureProblems(
  reportSha256: string,
  { publicKey, value }: { publicKey: string; value: string },
  wanted: KeyObject | undefined,
): string[] {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(publicKey, "base64"), format: "der", type: "spki" });
  } catch {
    return ["its signature's key is none"];
  }
  const problems: string[] = [];
  const isSigned =
    key.asymmetricKeyType === "ed25519" &&
    verify(null, Buffer.from(reportSha256, "hex"), key, Buffer.from(value, "base64"));
  if (!isSigned) problems.push("its signature does not fit");
  if (wanted && !wanted.equals(key)) problems.push("it was signed with another key");
  return problems;
}
