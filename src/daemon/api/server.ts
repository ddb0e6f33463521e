// The Unix door of the local API: a socket in the home, for this user alone. Where its path would be too long for the system, which
// would silently cut it, the socket lies in a private directory elsewhere and a file in the home says where.
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { printable } from '../../core/display.ts'
import { KithError, systemCode } from '../../core/errors.ts'
import { writeAtomic } from '../atomic-file.ts'
import type { Home } from '../home.ts'

const MAX_SOCKET_PATH_BYTES = 100

export interface ApiServer {
  readonly socket: string
  stop(): Promise<void>
}

export interface ServerDeps {
  fetch(request: Request): Response | Promise<Response>
}

/** The lock of the home must be held: whatever stands at the socket's place is left from a daemon that is dead. */
export async function serveSocket(
  deps: ServerDeps,
  options: { readonly home: Home; readonly runtime?: string },
): Promise<ApiServer> {
  const { home } = options
  const socket = await placeSocket(home, options.runtime)
  await rm(socket, { force: true })
  const server = createAdaptorServer({ fetch: deps.fetch, overrideGlobalObjects: false }) as Server
  // A wait, a pairing and the events stay open for long.
  server.requestTimeout = 0
  server.timeout = 0
  await listen(server, socket)
  await chmod(socket, 0o600)
  if (socket === home.socket) await rm(home.socketPointer, { force: true })
  else await writeAtomic(home.socketPointer, `${socket}\n`)
  return {
    socket,
    async stop() {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeIdleConnections()
      // What is still open are streams that end only with us; a client sees its connection end.
      const timer = setTimeout(() => server.closeAllConnections(), 200)
      await closed
      clearTimeout(timer)
      await rm(socket, { force: true })
      await rm(home.socketPointer, { force: true })
    },
  }
}

function listen(server: Server, socket: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(socket, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function placeSocket(home: Home, runtime: string | undefined): Promise<string> {
  if (Buffer.byteLength(home.socket) <= MAX_SOCKET_PATH_BYTES) return home.socket
  const { XDG_RUNTIME_DIR } = process.env
  const name = `kith-${createHash('sha256').update(home.root).digest('hex').slice(0, 16)}`
  const candidates = [runtime, XDG_RUNTIME_DIR, tmpdir(), '/tmp'].filter(path => path !== undefined && path !== '')
  for (const base of candidates) {
    const socket = join(base ?? '', name, 'daemon.sock')
    if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) continue
    if (await makePrivate(dirname(socket))) return socket
  }
  throw new KithError(
    'daemon-start-failed',
    `The path of the home, ${printable(home.root)}, is too long for its socket: choose a shorter one with --home.`,
  )
}

/** Makes a directory of this user alone; false where that cannot be had. Never goes through a symlink or into someone else's. */
async function makePrivate(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    await chmod(path, 0o700)
    return true
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') return false
  }
  const facts = await lstat(path)
  const mine = process.getuid === undefined || facts.uid === process.getuid()
  return facts.isDirectory() && mine && (facts.mode & 0o077) === 0
}
