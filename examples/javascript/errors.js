// @ts-check
/** What is refused, with the names that docs/errors.md has for it. */

/** Any error raised on purpose; `kind` is for programs, `message` for people. */
export class RimError extends Error {
  /** @param {string} kind @param {string} message */
  constructor(kind, message) {
    super(message);
    this.name = "RimError";
    this.kind = kind;
  }
}

/** @param {string} message */
export const questionError = (message) => new RimError("question", message);

/** @param {string} message */
export const bundleError = (message) => new RimError("bundle-corrupt", message);

/** A question has more tokens than the bundle takes. */
export class QuestionTooLongError extends RimError {
  /** @param {number} tokens @param {number} limit @param {string} [more] */
  constructor(tokens, limit, more = "") {
    super(
      "question-too-long",
      `The question has ${tokens} tokens${more}, this bundle takes at most ${limit}. Shorten it; nothing is ever cut.`,
    );
    this.tokens = tokens;
    this.limit = limit;
  }
}
