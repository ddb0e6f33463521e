// The folders here and those offered: `kith folders`, `add`, `get` and `kith folder …`.
import { createRoute, type OpenAPIHono, type z } from '@hono/zod-openapi'
import type { Control } from '../control.ts'
import { API, answers, takes } from './describe.ts'
import {
  addBody,
  answeredFolderSchema,
  folderResultSchema,
  foldersSchema,
  getBody,
  nameBody,
  removedFolderSchema,
  settingsBody,
} from './schema.ts'

const list = createRoute({
  method: 'get',
  path: `${API}/folders`,
  responses: answers(foldersSchema, 'The folders here, and those that other devices offer'),
})

const add = createRoute({
  method: 'post',
  path: `${API}/folders/add`,
  request: takes(addBody),
  responses: answers(folderResultSchema, 'A new folder, offered to the paired devices'),
})

const ensure = createRoute({
  method: 'post',
  path: `${API}/folders/ensure`,
  request: takes(addBody.pick({ path: true })),
  responses: answers(folderResultSchema, 'The folder at that path, made if this device did not know the path'),
})

const get = createRoute({
  method: 'post',
  path: `${API}/folders/get`,
  request: takes(getBody),
  responses: answers(folderResultSchema, 'An offered folder, taken or joined'),
})

const verb = <V extends string, S extends z.ZodType>(name: V, schema: S, description: string) =>
  createRoute({
    method: 'post',
    path: `${API}/folders/${name}`,
    request: takes(nameBody),
    responses: answers(schema, description),
  })

const pause = verb('pause', folderResultSchema, 'It does not sync until it is resumed')
const resume = verb('resume', folderResultSchema, 'It syncs again')
const approve = verb(
  'approve',
  answeredFolderSchema,
  'The folder as it is now is right: what is gone goes on all devices',
)
const reject = verb('reject', answeredFolderSchema, 'The files are brought back')

const remove = createRoute({
  method: 'post',
  path: `${API}/folders/remove`,
  request: takes(nameBody),
  responses: answers(removedFolderSchema, 'No longer synced; the files stay'),
})

const set = createRoute({
  method: 'post',
  path: `${API}/folders/set`,
  request: takes(settingsBody),
  responses: answers(folderResultSchema, 'Its settings are changed, at once'),
})

export function folderRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(list, c => c.json({ folders: control.folders(), offers: control.offers() }, 200))
  app.openapi(add, async c => {
    const { path, name, create } = c.req.valid('json')
    return c.json({ folder: await control.addFolder(path, { name, create }) }, 200)
  })
  app.openapi(ensure, async c => c.json({ folder: await control.ensureFolder(c.req.valid('json').path) }, 200))
  app.openapi(get, async c => {
    const { name, path, into } = c.req.valid('json')
    return c.json({ folder: await control.takeFolder(name, { path, into }) }, 200)
  })
  app.openapi(pause, async c => c.json({ folder: await control.pauseFolder(c.req.valid('json').name) }, 200))
  app.openapi(resume, async c => c.json({ folder: await control.resumeFolder(c.req.valid('json').name) }, 200))
  app.openapi(approve, async c => c.json(await control.approveFolder(c.req.valid('json').name), 200))
  app.openapi(reject, async c => c.json(await control.rejectFolder(c.req.valid('json').name), 200))
  app.openapi(set, async c => {
    const { name, settings } = c.req.valid('json')
    return c.json({ folder: await control.setFolder(name, settings) }, 200)
  })
  app.openapi(remove, async c => c.json({ removed: await control.removeFolder(c.req.valid('json').name) }, 200))
}
