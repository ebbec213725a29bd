/**
 * What the gateway itself refuses or reports, in the shape that OpenAI's clients understand.
 * Knows: statuses and codes in use. Does not know: who sends it. Backends' own refusals pass through as they are.
 */
export type GatewayStatus = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 500 | 502 | 503;

export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly status: GatewayStatus;
  readonly code: string | null;
  readonly param: string | null;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: GatewayStatus,
    message: string,
    more: { code?: string; param?: string; retryAfterSeconds?: number } = {},
  ) {
    super(message);
    this.status = status;
    this.code = more.code ?? null;
    this.param = more.param ?? null;
    this.retryAfterSeconds = more.retryAfterSeconds;
  }

  document(extra: Readonly<Record<string, string>> = {}): object {
    return {
      error: { message: this.message, type: typeOf(this.status), param: this.param, code: this.code, ...extra },
    };
  }
}

function typeOf(status: GatewayStatus): string {
  if (status >= 500) return "server_error";
  if (status === 429) return "rate_limit_error";
  return status === 401 || status === 403 ? "authentication_error" : "invalid_request_error";
}
