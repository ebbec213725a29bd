/**
 * Refusals in the shape that OpenAI's clients understand: `{"error": {message, type, param, code}}` with an HTTP status.
 * Knows: the document and the statuses in use. Does not know: who throws or who sends it.
 */
export type ErrorStatus = 400 | 404 | 405 | 413 | 415 | 429 | 500 | 503;

export class OpenAiError extends Error {
  override readonly name = "OpenAiError";
  readonly status: ErrorStatus;
  readonly code: string | null;
  /** The request's key that is to blame. */
  readonly param: string | null;

  constructor(status: ErrorStatus, message: string, where: { code?: string; param?: string } = {}) {
    super(message);
    this.status = status;
    this.code = where.code ?? null;
    this.param = where.param ?? null;
  }

  document(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const type =
      this.status >= 500 ? "server_error" : this.status === 429 ? "rate_limit_error" : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}
