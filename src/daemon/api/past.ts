// The past: `kith history`, `ls`, `diff`, `copies`, `restore`, `undo`, `verify`, `conflicts`, `resolve`. Paths are absolute; the folder that
// they lie in is found from them.
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Log } from '../../core/log.ts'
import type { Waiting } from '../../core/ports.ts'
import type { Past } from '../past.ts'
import { API, answers, takes } from './describe.ts'
import { lineRoute } from './lines.ts'
import {
  acceptedSchema,
  copiedSchema,
  copiesQuery,
  copiesSchema,
  diffQuery,
  diffSchema,
  historySchema,
  outcomeSchema,
  pathQuery,
  resolveBody,
  resolvedSchema,
  restoreBody,
  restoreCopyBody,
  treeQuery,
  treeSchema,
  undoBody,
  verifyBody,
  verifySchema,
} from './schema.ts'

const history = createRoute({
  method: 'get',
  path: `${API}/history`,
  request: { query: pathQuery },
  responses: answers(historySchema, 'Every version of a file or directory that a linked device knows, newest first'),
})

const tree = createRoute({
  method: 'get',
  path: `${API}/tree`,
  request: { query: treeQuery },
  responses: answers(treeSchema, 'The tree as it is, or was'),
})

const diff = createRoute({
  method: 'get',
  path: `${API}/diff`,
  request: { query: diffQuery },
  responses: answers(diffSchema, 'Two versions of a file, or what changed in a directory between two times'),
})

const copies = createRoute({
  method: 'get',
  path: `${API}/copies`,
  request: { query: copiesQuery },
  responses: answers(copiesSchema, 'Where the newest content of each file is safely held'),
})

const restore = createRoute({
  method: 'post',
  path: `${API}/restore`,
  request: takes(restoreBody),
  responses: answers(outcomeSchema, 'Brought back in place, as a change that syncs'),
})

const undo = createRoute({
  method: 'post',
  path: `${API}/undo`,
  request: takes(undoBody),
  responses: answers(outcomeSchema, 'What one device did is taken back; what others did stays'),
})

const resolve = createRoute({
  method: 'post',
  path: `${API}/conflicts/resolve`,
  request: takes(resolveBody),
  responses: answers(resolvedSchema, 'The conflict is settled, on all devices'),
})

const accept = createRoute({
  method: 'post',
  path: `${API}/verify/accept`,
  request: takes(pathQuery),
  responses: answers(acceptedSchema, 'A damaged file that nobody has sound is taken as it is, as an edit'),
})

/** A client that goes away ends what it asked for. */
function ofRequest(c: Context): Waiting {
  return { signal: c.req.raw.signal }
}

export function pastRoutes(app: OpenAPIHono, past: Past, log: Log): void {
  app.openapi(history, async c => c.json(await past.history(c.req.valid('query').path, ofRequest(c)), 200))
  app.openapi(tree, async c => {
    const { path, at } = c.req.valid('query')
    return c.json(await past.tree(path, at === undefined ? null : Date.parse(at), ofRequest(c)), 200)
  })
  app.openapi(diff, async c => c.json(await past.diff(c.req.valid('query'), ofRequest(c)), 200))
  app.openapi(copies, async c => c.json(await past.copies(c.req.valid('query').path, ofRequest(c)), 200))
  app.openapi(restore, async c => c.json(await past.restore(c.req.valid('json'), ofRequest(c)), 200))
  app.openapi(undo, async c => c.json(await past.undo(c.req.valid('json'), ofRequest(c)), 200))
  app.openapi(resolve, async c => {
    const { path, keep } = c.req.valid('json')
    return c.json(await past.resolve(path, keep, ofRequest(c)), 200)
  })
  app.openapi(accept, async c => c.json(await past.accept(c.req.valid('json').path, ofRequest(c)), 200))
  lineRoute(
    app,
    log,
    {
      path: `${API}/restore/copy`,
      takes: restoreCopyBody,
      answers: copiedSchema,
      description: 'Lines of progress; then what was written to the place that was asked for, or an error',
    },
    (body, options) => past.restoreCopy(body, options),
  )
  lineRoute(
    app,
    log,
    {
      path: `${API}/verify`,
      takes: verifyBody,
      answers: verifySchema,
      description: 'Lines of progress; then what was read again and found damaged, or an error',
    },
    (body, options) => past.verify(body.name, options),
  )
}
