/** An answer other than success; its message is for whoever asked. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: 400 | 404 | 405 | 409 | 413 | 415 | 503;

  constructor(status: HttpError["status"], message: string) {
    super(message);
    this.status = status;
  }
}
