// Answers that take long: a line of JSON at every step, the last with the result or an error. The work lasts exactly as long as the request,
// so a client that goes away ends it.
import { type OpenAPIHono, z } from '@hono/zod-openapi'
import { stream } from 'hono/streaming'
import { KithError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Waiting } from '../../core/ports.ts'
import { takes } from './describe.ts'
import { failureOf } from './failure.ts'
import { errorSchema, type ProgressBody, progressSchema } from './schema.ts'

/** Between two lines of progress. */
const PROGRESS_MS = 250

type Work<B> = (body: B, options: Waiting & { onProgress(files: number, bytes: number): void }) => Promise<object>

export function lineRoute<S extends z.ZodType>(
  app: OpenAPIHono,
  log: Log,
  route: { readonly path: string; readonly takes: S; readonly answers: z.ZodType; readonly description: string },
  work: Work<z.output<S>>,
): void {
  // A stream of lines is beyond what typed handlers can say: registered for the document alone.
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: route.path,
    request: takes(route.takes),
    responses: {
      200: {
        description: route.description,
        content: { 'application/x-ndjson': { schema: z.union([progressSchema, route.answers, errorSchema]) } },
      },
    },
  })
  app.post(route.path, async c => {
    const checked = route.takes.safeParse(await c.req.json())
    if (!checked.success) throw wrongValue(checked.error)
    const gone = new AbortController()
    const signal = AbortSignal.any([c.req.raw.signal, gone.signal])
    c.header('content-type', 'application/x-ndjson')
    return stream(c, async out => {
      out.onAbort(() => gone.abort(new KithError('stopped', 'Nobody waits for it any more.')))
      let told = performance.now()
      const onProgress = (files: number, bytes: number): void => {
        if (performance.now() - told < PROGRESS_MS) return
        told = performance.now()
        const line: ProgressBody = { progress: { files, bytes } }
        void out.writeln(JSON.stringify(line))
      }
      try {
        await out.writeln(JSON.stringify(await work(checked.data, { signal, onProgress })))
      } catch (error) {
        if (!signal.aborted) await out.writeln(JSON.stringify(failureOf(error, log).body))
      }
    })
  })
}

export function wrongValue(error: { readonly issues: readonly z.core.$ZodIssue[] }): KithError {
  const issue = error.issues[0]
  const where = issue === undefined || issue.path.length === 0 ? 'the request' : `"${issue.path.join('.')}"`
  return new KithError('bad-usage', `Wrong value for ${where}: ${issue?.message ?? 'not as described'}.`)
}
