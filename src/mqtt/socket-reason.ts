/** What OpenSSL and Node.js say about a certificate, by code: their own texts name source files and alert numbers. */
const tls: readonly (readonly [code: RegExp, says: (message: string) => string])[] = [
  [
    /^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|CERT_UNTRUSTED)/,
    (text) => `the broker's certificate is not trusted: ${text}`,
  ],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, (text) => `the broker's certificate is not valid now: ${text}`],
  [/^ERR_TLS_CERT_ALTNAME/, (text) => `the broker's certificate is for another host: ${text}`],
  [/ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)$/, () => 'the broker wants a certificate of us'],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE)$/,
    () => 'the broker refuses our certificate',
  ],
  [
    /^(ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/,
    () => 'the broker does not speak TLS on this port',
  ],
];

/** Why a connection could not be made, or broke, in words that an operator can do something about. */
export function socketReason(error: Error & { readonly code?: unknown }): string {
  const known = tls.find(([code]) => code.test(String(error.code)));
  return known === undefined ? error.message : known[1](error.message);
}
