// Reading what is, asking for agreement, and stopping: `kith status`, `wait`, `conflicts`, `stop`.
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Control } from '../control.ts'
import { API, answers, takes } from './describe.ts'
import { conflictsSchema, statusSchema, stoppingSchema, waitBody, waitResultSchema } from './schema.ts'

const status = createRoute({
  method: 'get',
  path: `${API}/status`,
  responses: answers(statusSchema, 'This device, the others, and every folder'),
})

const conflicts = createRoute({
  method: 'get',
  path: `${API}/conflicts`,
  responses: answers(conflictsSchema, 'Files of which more than one version is kept beside one another'),
})

const wait = createRoute({
  method: 'post',
  path: `${API}/wait`,
  request: takes(waitBody),
  responses: answers(waitResultSchema, 'Everything was scanned, compared and is in sync'),
})

const stop = createRoute({
  method: 'post',
  path: `${API}/stop`,
  responses: answers(stoppingSchema, 'The daemon stops after this answer'),
})

export function statusRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(status, c => c.json(control.status(), 200))
  app.openapi(conflicts, c => c.json(control.conflicts(), 200))
  app.openapi(wait, async c => c.json(await control.wait(c.req.valid('json'), { signal: c.req.raw.signal }), 200))
  app.openapi(stop, c => c.json(control.stop(), 200))
}
