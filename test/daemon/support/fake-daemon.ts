// A daemon whose network and engines are fakes: home, folders, control, API and socket are the real ones, in a directory of the test.
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KithError } from '../../../src/core/errors.ts'
import type { KithEvent } from '../../../src/core/events.ts'
import type { FolderId } from '../../../src/core/ids.ts'
import type { Log } from '../../../src/core/log.ts'
import { createApp } from '../../../src/daemon/api/app.ts'
import { type ApiServer, serveSocket } from '../../../src/daemon/api/server.ts'
import { Control } from '../../../src/daemon/control.ts'
import { EventHub } from '../../../src/daemon/events.ts'
import { type FolderListFile, type FolderRecord, folderListFile } from '../../../src/daemon/folder-list.ts'
import { Folders } from '../../../src/daemon/folders.ts'
import { type Home, openHome } from '../../../src/daemon/home.ts'
import { FakeEngine } from './fake-engine.ts'
import { FakeNetwork } from './fake-network.ts'

export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLog,
}

/** A directory that is gone after the test; its real path. */
export async function makeDirectory(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'kith-daemon-')))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

export class FakeDaemon {
  readonly directory: string
  readonly home: Home
  readonly network = new FakeNetwork()
  readonly engines = new Map<FolderId, FakeEngine>()
  readonly erased: FolderId[] = []
  /** As they were when their disk was opened. */
  readonly opened: FolderRecord[] = []
  readonly emitted: KithEvent[] = []
  readonly events = new EventHub({ log: silentLog })
  readonly list: FolderListFile
  readonly folders: Folders
  readonly control: Control
  stopRequests = 0
  /** Called before an engine is given out. */
  onOpen: (engine: FakeEngine) => void = () => undefined
  /** Paths that belong to another device. */
  readonly foreign = new Set<string>()
  #api: ApiServer | null = null

  constructor(directory: string, home: Home) {
    this.directory = directory
    this.home = home
    this.list = folderListFile(home.foldersFile)
    this.events.listen(({ event }) => this.emitted.push(event))
    this.folders = new Folders(
      {
        list: this.list,
        open: async record => {
          this.opened.push(record)
          const engine = new FakeEngine(record.id, record.name, record.path)
          this.onOpen(engine)
          this.engines.set(record.id, engine)
          return { engine, close: async () => void engine.calls.push('close') }
        },
        erase: async folder => void this.erased.push(folder),
        inspect: async path => {
          if (this.foreign.has(path)) throw new KithError('path-foreign-marker', 'Another device syncs that.')
          return { foldsCase: false }
        },
        network: this.network,
        emit: this.events.emit,
        log: silentLog,
      },
      { home: home.root },
    )
    this.control = new Control(
      { network: this.network, folders: this.folders, events: this.events, stop: () => void this.stopRequests++ },
      { version: '1.2.3', home: home.root, startedAt: new Date(0) },
    )
  }

  static async create(directory: string): Promise<FakeDaemon> {
    return new FakeDaemon(directory, await openHome(join(directory, 'home')))
  }

  /** Folders up and shared. */
  async start(): Promise<this> {
    await this.folders.start()
    this.folders.share()
    return this
  }

  /** The API at the home's socket. */
  async serve(): Promise<ApiServer> {
    const app = createApp({ control: this.control, log: silentLog }, { version: '1.2.3' })
    this.#api = await serveSocket({ fetch: request => app.fetch(request) }, { home: this.home })
    return this.#api
  }

  async stop(): Promise<void> {
    await this.#api?.stop()
    await this.folders.stop()
  }

  engine(name: string): FakeEngine {
    const engine = this.engines.get(this.folders.record(name).id)
    if (engine === undefined) throw new Error(`no engine for ${name}`)
    return engine
  }
}
