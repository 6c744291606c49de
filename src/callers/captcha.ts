import { DomainError } from '../errors.js';
import { logger } from '../operation/logging.js';

/** Whether a person is behind a request, by the word of a verifier (reCAPTCHA, hCaptcha and Turnstile speak alike). */
export interface Captcha {
  /** @throws DomainError CAPTCHA_FAILED when it is missing or wrong, CAPTCHA_UNAVAILABLE when the verifier is away */
  verify(token: unknown, address: string | null, signal: AbortSignal): Promise<void>;
}

export interface CaptchaOptions {
  readonly url: string;
  /** What the verifier knows this site by; '' when it wants none. */
  readonly secret: string;
  readonly timeoutMs?: number;
}

/** The longest that the three make have about 5,000. */
const tokenMax = 8_192;
const answerMax = 65_536;

export function createCaptcha({ url, secret, timeoutMs = 5_000 }: CaptchaOptions): Captcha {
  return {
    async verify(token, address, signal) {
      if (typeof token !== 'string' || token === '' || token.length > tokenMax) throw failed();
      const form = new URLSearchParams({ secret, response: token });
      if (address !== null) form.set('remoteip', address);
      const answer = await ask(url, form, AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]));
      if (isPassed(answer)) return;
      // Its codes say what is wrong with the token, or with our secret.
      logger('callers').debug({ codes: codesOf(answer) }, 'captcha not passed');
      throw failed();
    },
  };
}

async function ask(url: string, body: URLSearchParams, signal: AbortSignal): Promise<unknown> {
  try {
    const response = await fetch(url, { method: 'POST', body, signal, redirect: 'error' });
    const text = await textOf(response);
    if (response.ok) return JSON.parse(text) as unknown;
    throw new Error(`it answered ${response.status}`);
  } catch (cause) {
    throw new DomainError('CAPTCHA_UNAVAILABLE', 'The CAPTCHA could not be verified; try again later.', {
      cause,
    });
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > answerMax) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function isPassed(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'success' in answer && answer.success === true;
}

function codesOf(answer: unknown): unknown {
  return typeof answer === 'object' && answer !== null && 'error-codes' in answer
    ? answer['error-codes']
    : null;
}

function failed(): DomainError {
  return new DomainError('CAPTCHA_FAILED', 'The CAPTCHA is missing or wrong: send X-Captcha-Token.');
}
