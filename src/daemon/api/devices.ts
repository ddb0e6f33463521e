// The paired devices: `kith devices` and `kith device …`.
import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import type { Control } from '../control.ts'
import { API, answers, takes } from './describe.ts'
import {
  addressBody,
  deviceResultSchema,
  devicesSchema,
  removeDeviceBody,
  removedDeviceSchema,
  renameBody,
} from './schema.ts'

const list = createRoute({
  method: 'get',
  path: `${API}/devices`,
  responses: answers(devicesSchema, 'The paired devices'),
})

const rename = createRoute({
  method: 'post',
  path: `${API}/devices/rename`,
  request: takes(renameBody),
  responses: answers(deviceResultSchema, 'Renamed for every device of the group'),
})

const address = createRoute({
  method: 'post',
  path: `${API}/devices/address`,
  request: takes(addressBody),
  responses: answers(deviceResultSchema, 'The address will be tried from now on'),
})

const remove = createRoute({
  method: 'post',
  path: `${API}/devices/remove`,
  request: takes(removeDeviceBody),
  responses: answers(removedDeviceSchema, 'Revoked: every remaining device refuses it once it hears of it'),
})

export function deviceRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(list, c => c.json({ devices: control.devices() }, 200))
  app.openapi(rename, async c => {
    const { name, to } = c.req.valid('json')
    return c.json({ device: await control.renameDevice(name, to) }, 200)
  })
  app.openapi(address, async c => {
    const body = c.req.valid('json')
    return c.json({ device: await control.addAddress(body.name, body.address) }, 200)
  })
  app.openapi(remove, async c => {
    const { name, force } = c.req.valid('json')
    return c.json({ removed: await control.removeDevice(name, { force, signal: c.req.raw.signal }) }, 200)
  })
}
