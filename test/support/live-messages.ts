import assert from 'node:assert/strict';
import { openApiDocument } from '../../src/http/openapi/document.js';
import { createSchemas } from './openapi.js';

/** A field that the document does not name is a fault here. */
const schemas = createSchemas(openApiDocument('0.0.0'), { strict: true });

/** Holds what was heard on /ws to the document ([H-20]). */
export function assertDocumented(messages: readonly { readonly event: string }[]): void {
  assert.ok(messages.length > 0, 'nothing was heard');
  for (const message of messages) {
    assert.deepEqual(schemas.problemsAt('/components/schemas/LiveMessage', message), []);
    const own = `/components/schemas/${message.event}Event`;
    assert.deepEqual(schemas.problemsAt(own, message), [], JSON.stringify(message));
  }
}
