/**
 * The one error class of the domain. `code` is one of docs/errors.md and stands as an own property, because
 * Node-RED's Catch node copies own properties only.
 */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[] | undefined;
  /** When to come back, of errors that pass by themselves; absent: the usual time of its status. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: readonly ErrorDetail[]; retryAfterSeconds?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DomainError';
    this.code = code;
    this.details = options.details;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** One field that is wrong: `path` as a JSON pointer (`/kwh_amount`), `message` as a half sentence. */
export interface ErrorDetail {
  readonly path: string;
  readonly message: string;
}

/** Every code with the HTTP status that it answers ([section 4]). docs/errors.md explains each; a test compares. */
export const errorStatus = {
  BAD_REQUEST: 400,
  SCHEMA_INVALID: 400,
  DRN_CHECK_DIGIT: 400,
  TARIFF_INVALID: 400,
  METER_NUMBER_INVALID: 400,
  TOKEN_INVALID: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  CAPTCHA_FAILED: 403,
  NOT_FOUND: 404,
  DEVICE_UNKNOWN: 404,
  METER_UNKNOWN: 404,
  BATCH_UNKNOWN: 404,
  NO_READING: 404,
  MESSAGE_UNKNOWN: 404,
  KEY_UNKNOWN: 404,
  PAYMENT_UNKNOWN: 404,
  INJECTION_UNKNOWN: 404,
  READING_UNKNOWN: 404,
  MINT_REQUEST_UNKNOWN: 404,
  ACCOUNT_UNKNOWN: 404,
  API_KEY_UNKNOWN: 404,
  METER_ID_TAKEN: 409,
  DRN_TAKEN: 409,
  MESSAGE_REPLAYED: 409,
  KEY_EXISTS: 409,
  PAYMENT_ALLOCATED: 409,
  PAYMENT_REVERSED: 409,
  TARIFF_EXISTS: 409,
  TOKEN_USED: 409,
  TOKEN_BOUND: 409,
  EMAIL_TAKEN: 409,
  LAST_ADMIN: 409,
  API_KEY_NAME_TAKEN: 409,
  MINT_REFUSED: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  KWH_OUT_OF_RANGE: 422,
  CONSUMPTION_OUT_OF_RANGE: 422,
  CONSUMPTION_CONFLICT: 422,
  TIMESTAMP_OUT_OF_WINDOW: 422,
  TOO_CLOSE: 422,
  METER_MISMATCH: 422,
  SIGNATURE_MISSING: 422,
  SIGNATURE_INVALID: 422,
  KEY_REVOKED: 422,
  KEY_EXPIRED: 422,
  FLOW_UNSETTLED: 422,
  IDEMPOTENCY_KEY_REUSED: 422,
  TOKEN_REFUSED: 422,
  READING_OF_MOCK: 422,
  WALLET_MISSING: 422,
  PASSWORD_WEAK: 422,
  LOGIN_ELSEWHERE: 422,
  RATE_LIMITED: 429,
  LOGIN_LOCKED: 429,
  INTERNAL: 500,
  CONFIGURATION: 500,
  PAYMENT_UNAVAILABLE: 502,
  TOKEN_API_FAILED: 502,
  CAPTCHA_UNAVAILABLE: 502,
  DATABASE_UNAVAILABLE: 503,
  LOGIN_PROVIDER_UNAVAILABLE: 503,
  LOGIN_BUSY: 503,
  BROKER_UNAVAILABLE: 503,
  SUBSCRIPTION_REFUSED: 503,
  VERIFIER_BUSY: 503,
  PAYMENT_NOT_SET_UP: 503,
  TOKEN_API_MISSING: 503,
  INJECTIONS_BUSY: 503,
  MINTING_NOT_SET_UP: 503,
  INJECTION_INTERRUPTED: 503,
  TOKEN_UNANSWERED: 504,
  TIMEOUT: 504,
} as const;

export type ErrorCode = keyof typeof errorStatus;

export function isDomainError(error: unknown): error is DomainError {
  return error instanceof DomainError;
}
