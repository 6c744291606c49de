import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Express, NextFunction, Request, Response } from 'express';

/** Everything the page is made of comes from here, and it may ask nobody else. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  // The icons in Swagger UI's style sheet.
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Meterflow API</title>
    <link rel="icon" type="image/png" href="favicon-32x32.png">
    <link rel="stylesheet" href="swagger-ui.css">
    <script src="swagger-ui-bundle.js" defer></script>
    <script src="initializer.js" defer></script>
  </head>
  <body><div id="docs"></div></body>
</html>
`;

/** No validator and no query settings: both would let the page ask other hosts. */
const initializer = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  queryConfigEnabled: false,
});
`;

/** What we take of swagger-ui-dist. */
const files = ['swagger-ui-bundle.js', 'swagger-ui.css', 'favicon-32x32.png'];

/**
 * [H-18]: /openapi.json and Swagger UI at /docs/index.html. Nothing of it is loaded before somebody asks; the files
 * are streamed and never kept.
 */
export function serveDocs(application: Express): void {
  let document: Promise<string> | undefined;
  application.get('/openapi.json', (_request: Request, response: Response, next: NextFunction) => {
    document ??= openApiJson();
    document.then((text) => response.type('json').send(text), next);
  });
  application.get('/docs', (_request: Request, response: Response) => response.redirect('/docs/index.html'));
  application.use('/docs', (_request: Request, response: Response, next: NextFunction) => {
    response.set({
      'content-security-policy': policy,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    next();
  });
  application.get('/docs/index.html', (_request: Request, response: Response) => {
    response.type('html').send(page);
  });
  application.get('/docs/initializer.js', (_request: Request, response: Response) => {
    response.type('js').send(initializer);
  });
  for (const file of files) {
    application.get(`/docs/${file}`, (_request: Request, response: Response, next: NextFunction) => {
      // A root, so that a hidden folder somewhere above is no reason to refuse.
      const root = dirname(require.resolve('swagger-ui-dist/package.json'));
      response.sendFile(file, { root, maxAge: '1h' }, (error?: Error) => {
        if (error !== undefined && !response.headersSent) next(error);
      });
    });
  }
}

async function openApiJson(): Promise<string> {
  const { openApiDocument } = await import('../src/http/openapi/document.js');
  const manifest = await readFile(join(resolve(__dirname, '../..'), 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  return JSON.stringify(openApiDocument(version));
}
