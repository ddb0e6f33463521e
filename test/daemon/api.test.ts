import { lstat, mkdir, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect } from 'chai'
import { createApp } from '../../src/daemon/api/app.ts'
import { errorSchema, statusSchema } from '../../src/daemon/api/schema.ts'
import { serveSocket } from '../../src/daemon/api/server.ts'
import { openHome } from '../../src/daemon/home.ts'
import { FakeDaemon, makeDirectory, silentLog } from './support/fake-daemon.ts'

describe('daemon/api', () => {
  let directory: Awaited<ReturnType<typeof makeDirectory>>
  let daemon: FakeDaemon
  let app: ReturnType<typeof createApp>

  beforeEach(async () => {
    directory = await makeDirectory()
    daemon = await (await FakeDaemon.create(directory.path)).start()
    app = createApp({ control: daemon.control, log: silentLog }, { version: '1.2.3' })
  })
  afterEach(async () => {
    await daemon.stop()
    await directory.remove()
  })

  const send = async (path: string, init: RequestInit = {}): Promise<Response> =>
    app.request(`http://kith${path}`, init)
  const post = (path: string, body: unknown, type = 'application/json'): Promise<Response> =>
    send(path, {
      method: 'POST',
      headers: { 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  async function fails(response: Response, status: number, code: string): Promise<string> {
    expect(response.status).to.equal(status)
    const { error } = errorSchema.parse(await response.json())
    expect(error.code).to.equal(code)
    return error.message
  }

  it('answers the status in the shape that it describes', async () => {
    await mkdir(join(directory.path, 'notes'))
    await daemon.folders.add(join(directory.path, 'notes'), { create: false })
    const response = await send('/api/v1/status')
    expect(response.status).to.equal(200)
    const status = statusSchema.parse(await response.json())
    expect(status.device).to.deep.equal({ id: daemon.network.device, name: 'laptop', version: '1.2.3' })
    expect(status.folders[0]).to.deep.include({ name: 'notes', mode: 'two-way', state: 'idle' })
  })

  it('describes every route in its OpenAPI document', async () => {
    const document = (await (await send('/api/v1/openapi.json')).json()) as {
      paths: Record<string, Record<string, unknown>>
    }
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
    )
    const served = app.routes
      .filter(route => route.method !== 'ALL' && !route.path.endsWith('openapi.json'))
      .map(route => `${route.method} ${route.path}`)
    expect(described.sort()).to.deep.equal([...new Set(served)].sort())
    expect(described).to.have.length.greaterThan(15)
  })

  it('refuses what is not as described, each in the one shape', async () => {
    await fails(await send('/api/v1/nothing'), 404, 'bad-usage')
    await fails(await post('/api/v1/folders/add', { path: '/x', colour: 1 }), 400, 'bad-usage')
    expect(await fails(await post('/api/v1/folders/add', {}), 400, 'bad-usage')).to.contain('"path"')
    await fails(await post('/api/v1/folders/add', '{"path":'), 400, 'bad-usage')
    await fails(await post('/api/v1/folders/add', 'path=/x', 'text/plain'), 415, 'bad-usage')
    await fails(await post('/api/v1/folders/add', { path: 'x'.repeat(2 * 1024 * 1024) }), 413, 'bad-usage')
    await fails(await post('/api/v1/folders/pause', { name: 'none' }), 404, 'folder-unknown')
    await fails(await post('/api/v1/devices/remove', { name: 'none' }), 404, 'device-unknown')
  })

  it('does not show the text of a fault of its own', async () => {
    daemon.network.renameDevice = async () => {
      throw new Error('secret detail')
    }
    const message = await fails(await post('/api/v1/devices/rename', { name: 'laptop', to: 'x' }), 500, 'internal')
    expect(message).not.to.contain('secret')
  })

  it('reading changes nothing', async () => {
    const reading = app.routes.filter(route => route.method === 'GET' && !route.path.endsWith('/events'))
    const statuses = await Promise.all(reading.map(async route => [route.path, (await send(route.path)).status]))
    const asksForPath = ['history', 'tree', 'diff'].map(name => `/api/v1/${name}`)
    for (const [path, status] of statuses)
      expect(status, String(path)).to.equal(asksForPath.includes(String(path)) ? 400 : 200)
    expect(reading.length).to.be.greaterThan(8)
    expect(await daemon.list.load()).to.deep.equal({ folders: [], erasing: [] })
    for (const path of ['/api/v1/stop', '/api/v1/folders/add', '/api/v1/pairing/offer']) {
      expect((await send(path)).status).to.equal(404)
    }
    expect(daemon.stopRequests).to.equal(0)
  })

  describe('socket', () => {
    it('is for its user alone, and gone after the end', async () => {
      const umask = process.umask(0)
      try {
        const api = await daemon.serve()
        expect(api.socket).to.equal(daemon.home.socket)
        const facts = await lstat(api.socket)
        expect(facts.isSocket()).to.equal(true)
        expect(facts.mode & 0o777).to.equal(0o600)
        await api.stop()
        expect(await lstat(api.socket).catch(() => null)).to.equal(null)
      } finally {
        process.umask(umask)
      }
    })

    it('replaces one that a killed daemon left', async () => {
      const app = { fetch: () => new Response('ok') }
      const killed = await serveSocket(app, { home: daemon.home })
      const again = await serveSocket(app, { home: daemon.home })
      expect(await get(again.socket)).to.equal('ok')
      await again.stop()
      await killed.stop()
    })

    it('lies in a private directory elsewhere where its path would be too long', async () => {
      const home = await openHome(join(directory.path, 'x'.repeat(90), 'home'))
      const runtime = join(directory.path, 'run')
      await mkdir(runtime)
      const api = await serveSocket({ fetch: () => new Response('ok') }, { home, runtime })
      expect(api.socket.startsWith(runtime)).to.equal(true)
      expect((await stat(join(api.socket, '..'))).mode & 0o777).to.equal(0o700)
      expect((await lstat(api.socket)).mode & 0o777).to.equal(0o600)
      expect(await get(api.socket)).to.equal('ok')
      await api.stop()
      expect(await lstat(home.socketPointer).catch(() => null)).to.equal(null)
    })
  })
})

function get(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/', agent: false }, response => {
      let text = ''
      response.on('data', part => (text += String(part)))
      response.on('end', () => resolve(text))
    })
    call.on('error', reject)
    call.end()
  })
}
