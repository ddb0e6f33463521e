// All routes of the local API, whatever door a request came through: checked input, one shape of errors, and the document that
// describes it all at /api/v1/openapi.json. Reading never changes anything.
import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { Log } from '../../core/log.ts'
import type { Control } from '../control.ts'
import { API } from './describe.ts'
import { deviceRoutes } from './devices.ts'
import { eventRoutes } from './events.ts'
import { failureOf } from './failure.ts'
import { folderRoutes } from './folders.ts'
import { wrongValue } from './lines.ts'
import { pairingRoutes } from './pairing.ts'
import { pastRoutes } from './past.ts'
import { statusRoutes } from './status.ts'

const MAX_BODY_BYTES = 1024 * 1024

export function createApp(
  deps: { readonly control: Control; readonly log: Log },
  options: { readonly version: string },
): OpenAPIHono {
  const { control, log } = deps
  const app = new OpenAPIHono({
    defaultHook: result => {
      if (!result.success) throw wrongValue(result.error)
    },
  })
  const answer = (error: unknown): Response => {
    // Of Hono itself: a body that is no JSON.
    if (error instanceof HTTPException) return refusal(error.status, `${error.message}.`)
    const { status, body } = failureOf(error, log)
    return Response.json(body, { status })
  }
  app.onError(answer)
  app.notFound(() => refusal(404, 'There is no such route.'))
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: () => refusal(413, 'The request is too large.') }))
  app.use(async (c, next) => {
    const reads = c.req.method === 'GET' || c.req.method === 'HEAD'
    const type = c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
    if (!reads && type !== 'application/json') return refusal(415, 'Send JSON, as application/json.')
    await next()
    return undefined
  })
  statusRoutes(app, control)
  deviceRoutes(app, control)
  folderRoutes(app, control)
  pairingRoutes(app, control, log)
  pastRoutes(app, control.past, log)
  eventRoutes(app, control)
  app.doc(`${API}/openapi.json`, { openapi: '3.0.3', info: { title: 'Kith', version: options.version } })
  return app
}

function refusal(status: number, message: string): Response {
  return Response.json({ error: { code: 'bad-usage', message } }, { status })
}
