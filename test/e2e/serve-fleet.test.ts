/** `serve FLEET.yaml` as a process: it listens with TLS, takes a changed file on, refuses a wrong one, logs, and drains at SIGTERM. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { join } from "node:path";
import { expect, test } from "vitest";
import { answerTo, mockBackend } from "../gateway/mock-backend.ts";
import { fleetOver } from "../gateway/serve-mocks.ts";
import { dualgauge, type Running, start, temporaryFolder } from "./command.ts";

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}
const urlOf = async (serving: Running): Promise<string> => {
  await until(() => /\}\s*$/.test(serving.text()) || serving.process.exitCode !== null);
  return JSON.parse(serving.text()).url;
};
const ask = (url: string, question: string): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    ...{ method: "POST", headers: { "content-type": "application/json" } },
    body: JSON.stringify({ model: "whale", stream: true, messages: [{ role: "user", content: question }] }),
  });

test("it reloads by SIGHUP and by itself, keeps the old file when the new one is wrong, logs no words, and drains", async () => {
  using folder = temporaryFolder();
  const [one, two] = [await mockBackend({ name: "one", pieceMilliseconds: 30 }), await mockBackend({ name: "two" })];
  const path = join(folder.path, "FLEET.yaml");
  const log = join(folder.path, "access.jsonl");
  const file = (...mocks: (typeof one)[]): string => JSON.stringify({ ...fleetOver(mocks), accessLog: "access.jsonl" });
  writeFileSync(path, file(one));
  const serving = start(["serve", path, "--json"]);
  try {
    const url = await urlOf(serving);
    writeFileSync(path, file(two));
    serving.process.kill("SIGHUP");
    await until(() => serving.text().includes("is taken on"));
    await (await ask(url, "a secret question")).text();
    expect(two.requests.length).toBe(1);
    // The file's time is looked at once a second; SIGHUP is not needed.
    const wrong = file(two).replace('"backends"', '"backend"');
    writeFileSync(path, wrong);
    // Looked at between two writes, a file may be wrong in another way first.
    await until(() => /FLEET.yaml backend: unknown key; did you mean backends\?.*stays in force/.test(serving.text()));
    writeFileSync(path, file(one));
    await until(() => serving.text().split("is taken on").length >= 3);
    const answer = await ask(url, "another question");
    serving.process.kill("SIGTERM");
    const text = await answer.text();
    const pieces = [...text.matchAll(/^data: (\{.*)$/gm)].map(
      ([, json]) => JSON.parse(json ?? "").choices[0].delta.content ?? "",
    );
    expect(pieces.join("")).toBe(answerTo("another question").join(""));
    expect((await serving.finished).code).toBe(0);
    const lines = readFileSync(log, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { status: 200, backends: ["two"], finish: "stop", answerTokens: 12 },
      { status: 200, backends: ["one"], finish: "stop" },
    ]);
    expect(lines.join()).not.toMatch(/question|sea|whale,/);
  } finally {
    serving.process.kill("SIGKILL");
    await Promise.all([one.close(), two.close()]);
  }
});

test("TLS by files", async ({ skip }) => {
  using folder = temporaryFolder();
  const [certFile, keyFile] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
  try {
    const subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes"];
    execFileSync(
      "openssl",
      [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        ...subject,
        "-keyout",
        keyFile,
        "-out",
        certFile,
      ],
      { stdio: "ignore" },
    );
  } catch {
    skip("no openssl on this machine to make a certificate with");
  }
  const one = await mockBackend({ name: "one" });
  const path = join(folder.path, "FLEET.yaml");
  writeFileSync(path, JSON.stringify({ ...fleetOver([one]), tls: { certFile: "cert.pem", keyFile: "key.pem" } }));
  const serving = start(["serve", path, "--json"]);
  try {
    const url = await urlOf(serving);
    expect(url).toMatch(/^https:/);
    const agent = new Agent({ ca: readFileSync(certFile), servername: "localhost" });
    const status = await new Promise((resolve, reject) =>
      get(`${url}/health`, { agent, headers: { host: "localhost" } }, ({ statusCode }) => resolve(statusCode)).on(
        "error",
        reject,
      ),
    );
    expect(status).toBe(200);
    agent.destroy();
  } finally {
    serving.process.kill("SIGKILL");
    await one.close();
  }
});

test.each([
  ["an unknown key", { backend: [] }, /FLEET.yaml backend: unknown key; did you mean backends\?/],
  [
    "no models",
    { backends: [{ name: "a", url: "http://127.0.0.1:1", platform: "nvidia", engine: "vllm" }] },
    /backends.0.models: is missing/,
  ],
  [
    "two of a name",
    {
      backends: ["a", "a"].map((name) => ({
        name,
        url: "http://127.0.0.1:1",
        platform: "cpu",
        engine: "openai",
        models: { m: "m" },
      })),
    },
    /a is there twice/,
  ],
  [
    "a key's variable that is not set",
    {
      backends: [
        {
          name: "a",
          url: "http://127.0.0.1:1",
          platform: "cpu",
          engine: "openai",
          models: { m: "m" },
          apiKeyEnv: "DUALGAUGE_NO_SUCH_KEY",
        },
      ],
    },
    /DUALGAUGE_NO_SUCH_KEY is not set/,
  ],
])("%s is refused", async (_, file, message) => {
  using folder = temporaryFolder();
  const path = join(folder.path, "FLEET.yaml");
  writeFileSync(path, JSON.stringify(file));
  const { code, stdout, stderr } = await dualgauge("serve", path);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(message);
});
