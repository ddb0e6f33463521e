// `kith pair`. Offering answers with a line at once and another when a device has paired; the code lives exactly as long as the request,
// so a client that goes away closes the window.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { stream } from 'hono/streaming'
import type { Log } from '../../core/log.ts'
import type { Control } from '../control.ts'
import { API, answers, takes } from './describe.ts'
import { failureOf } from './failure.ts'
import { errorSchema, joinBody, type PairingOfferBody, pairedSchema, pairingOfferSchema } from './schema.ts'

const lines = z.union([pairingOfferSchema, pairedSchema, errorSchema])

const offer = createRoute({
  method: 'post',
  path: `${API}/pairing/offer`,
  responses: {
    200: {
      description: 'A line with the code at once; then one with the device that used it, or an error',
      content: { 'application/x-ndjson': { schema: lines } },
    },
  },
})

const join = createRoute({
  method: 'post',
  path: `${API}/pairing/join`,
  request: takes(joinBody),
  responses: answers(pairedSchema, 'Paired with the device that shows the code'),
})

export function pairingRoutes(app: OpenAPIHono, control: Control, log: Log): void {
  // Its stream of lines is beyond what typed handlers can say: registered for the document alone.
  app.openAPIRegistry.registerPath(offer)
  app.post(offer.path, async c => {
    const { signal } = c.req.raw
    const pairing = await control.offerPairing({ signal })
    const { code, ticket, expiresAt } = pairing
    const first: PairingOfferBody = { code, ticket, expiresAt: new Date(expiresAt).toISOString() }
    c.header('content-type', 'application/x-ndjson')
    return stream(c, async out => {
      out.onAbort(() => pairing.cancel())
      await out.writeln(JSON.stringify(first))
      try {
        const { id, name } = await pairing.paired
        await out.writeln(JSON.stringify({ paired: { id, name } }))
      } catch (error) {
        if (!signal.aborted) await out.writeln(JSON.stringify(failureOf(error, log).body))
      } finally {
        pairing.cancel()
      }
    })
  })
  app.openapi(join, async c => {
    const { code, address } = c.req.valid('json')
    return c.json(await control.join(code, address, { signal: c.req.raw.signal }), 200)
  })
}
