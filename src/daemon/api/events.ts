// The event stream, as Server-Sent Events. A client that does not keep up is cut off rather than remembered without bound: it connects
// again and knows that it missed something.
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { type SSEStreamingApi, streamSSE } from 'hono/streaming'
import type { Control } from '../control.ts'
import type { StampedEvent } from '../events.ts'
import { API } from './describe.ts'

const MAX_WAITING_EVENTS = 1000
/** Keeps the connection known to be alive. */
const COMMENT_MS = 15_000

const events = createRoute({
  method: 'get',
  path: `${API}/events`,
  responses: {
    200: {
      description: 'One event each: its type, and its facts with the time as JSON',
      content: { 'text/event-stream': { schema: z.string() } },
    },
  },
})

export function eventRoutes(app: OpenAPIHono, control: Control): void {
  app.openapi(events, c =>
    streamSSE(c, async out => {
      const queue = new EventQueue()
      const stop = control.listen(event => queue.push(event))
      const beat = setInterval(() => queue.wake(), COMMENT_MS)
      out.onAbort(() => queue.end())
      try {
        await out.write(': listening\n\n')
        await pour(queue, out)
      } finally {
        clearInterval(beat)
        stop()
      }
    }),
  )
}

async function pour(queue: EventQueue, out: SSEStreamingApi): Promise<void> {
  for (;;) {
    const batch = await queue.take()
    if (batch === null) return
    if (batch.length === 0) await out.write(': alive\n\n')
    for (const { time, event } of batch) {
      await out.writeSSE({ event: event.type, data: JSON.stringify({ time, ...event }) })
    }
  }
}

class EventQueue {
  #waiting: StampedEvent[] = []
  #ended = false
  #wake: (() => void) | null = null

  push(event: StampedEvent): void {
    this.#waiting.push(event)
    if (this.#waiting.length > MAX_WAITING_EVENTS) this.#ended = true
    this.wake()
  }

  end(): void {
    this.#ended = true
    this.wake()
  }

  wake(): void {
    this.#wake?.()
  }

  /** What came since; empty after a mere `wake`; null at the end. */
  async take(): Promise<readonly StampedEvent[] | null> {
    if (this.#waiting.length === 0 && !this.#ended) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
      this.#wake = null
    }
    if (this.#ended) return null
    const batch = this.#waiting
    this.#waiting = []
    return batch
  }
}
