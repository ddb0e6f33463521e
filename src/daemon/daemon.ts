// The one place that builds everything, in order: lock → database → folders → network → folders on the network → API; and takes it down in
// reverse, each part with a deadline, so that one that hangs cannot keep the others from ending well. No rules live here.
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { Network } from '../core/ports.ts'
import { openFolderDisk } from '../disk/folder-disk.ts'
import { probeRoot } from '../disk/marker.ts'
import { DiskWorkers } from '../disk/workers.ts'
import { loadIdentity } from '../p2p/identity.ts'
import { createNetwork } from '../p2p/network.ts'
import type { Database } from '../store/database.ts'
import type { PairedDevice } from '../sync/company.ts'
import { createFolderEngine } from '../sync/folder.ts'
import { SweepTurn } from '../sync/sweep-turn.ts'
import { createApp } from './api/app.ts'
import { serveSocket } from './api/server.ts'
import type { Config } from './config.ts'
import { Control } from './control.ts'
import { EventHub } from './events.ts'
import { type FolderListFile, type FolderRecord, folderListFile } from './folder-list.ts'
import { Folders, type OpenFolder } from './folders.ts'
import { HeapTrim } from './heap-trim.ts'
import { clearTemporaries, type Home } from './home.ts'
import { placeOf } from './home-place.ts'
import { acquireLock } from './lock.ts'
import { Merger } from './merger.ts'
import { everyDevice, wordFor } from './names.ts'
import { openOrRebuild } from './open-database.ts'
import { Shutdown } from './shutdown.ts'
import { systemClock } from './system-clock.ts'

const PORT_KEY = 'port'

export interface DaemonOptions {
  readonly home: Home
  readonly config: Config
  readonly version: string
  /** The database was found to be damaged: it is set aside and built anew. */
  readonly rebuild?: boolean
  /** Another process, or the API, asked for the end. */
  readonly onStopRequested: () => void
  /** What was read of the database later than at its opening is damaged: nothing mends it but a start with `rebuild`. */
  readonly onDatabaseDamaged: () => void
  /** Ends a start that takes long, with its reason. */
  readonly signal: AbortSignal
}

export interface Daemon {
  readonly control: Control
  /** Idempotent. False where something did not end well in time. */
  stop(): Promise<boolean>
}

/** Throws KithError where it cannot start; then everything that was started is stopped again. */
export async function startDaemon(deps: { readonly log: Log }, options: DaemonOptions): Promise<Daemon> {
  const shutdown = new Shutdown(deps)
  try {
    const control = await build(deps.log, options, shutdown)
    return { control, stop: () => shutdown.run() }
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

async function build(log: Log, options: DaemonOptions, shutdown: Shutdown): Promise<Control> {
  const { home, config, version } = options
  const startedAt = new Date()
  const lock = await acquireLock(home.lockFile)
  shutdown.add('lock', () => lock.release())
  await clearTemporaries(home)
  const events = new EventHub({ log: log.child({ part: 'events' }) })
  const emit: Emit = event => {
    events.emit(event)
    if (event.type === 'folder:halted' && event.code === 'database-corrupt') options.onDatabaseDamaged()
  }
  const identity = await loadIdentity(home.root)
  const list = folderListFile(home.foldersFile)
  const place = await placeOf(home)
  if (place.copied)
    log.warn('this home is a copy: what it knows may be old, and is compared with the other devices first')
  const { database, rebuilt, close } = await openOrRebuild({ list, log }, options)
  shutdown.add('database', close)
  const port = config.port === 0 ? Number((await database.state.get(PORT_KEY)) ?? '0') : config.port
  const network = createNetwork(
    { identity, clock: systemClock, log: log.child({ part: 'network' }), emit },
    { home: home.root, name: config.name, version, port, discovery: config.discovery },
  )
  const merger = new Merger()
  const workers = new DiskWorkers()
  shutdown.add('workers', async () => void (await Promise.all([merger.stop(), workers.close()])))
  const around = {
    database,
    log,
    emit,
    merger,
    workers,
    device: identity.device,
    deviceName: config.name,
    copied: place.copied,
    sweepTurn: new SweepTurn(),
    nameOfDevice: (id: DeviceId) => wordFor(id, everyDevice(network)),
    paired: () => network.devices(),
  }
  const folders = new Folders(
    {
      list,
      network,
      emit,
      log: log.child({ part: 'folders' }),
      inspect: path => inspectRoot(path, identity.device),
      erase: folder => database.folder(folder).erase(),
      open: record => openFolder(record, around),
    },
    { home: home.root },
  )
  const startNetwork = async (): Promise<void> => {
    shutdown.add('network', () => network.stop())
    await network.start()
    await keepPort(network, database, config)
  }
  if (rebuilt) {
    await startNetwork()
    await pullAgain(list, network)
  }
  shutdown.add('folders', () => folders.stop())
  await folders.start()
  await place.settle()
  if (!rebuilt) await startNetwork()
  folders.share()
  const control = new Control(
    { network, folders, events, stop: options.onStopRequested },
    { version, home: home.root, startedAt },
  )
  const app = createApp({ control, log: log.child({ part: 'api' }) }, { version })
  const api = await serveSocket({ fetch: request => app.fetch(request) }, { home })
  shutdown.add('api', () => api.stop())
  const heap = new HeapTrim()
  heap.start()
  shutdown.add('heap', async () => heap.stop())
  emit({ type: 'daemon:started' })
  return control
}

/** Without the database this device knows no history: what others have is pulled before anything is said. */
async function pullAgain(list: FolderListFile, network: Network): Promise<void> {
  if (network.devices().length === 0) return
  const { folders, erasing } = await list.load()
  await list.save({ folders: folders.map(record => ({ ...record, taken: true })), erasing })
}

async function keepPort(network: Network, database: Database, config: Config): Promise<void> {
  const port = network
    .addresses()
    .map(address => /\/tcp\/(\d+)/.exec(address)?.[1])
    .find(each => each !== undefined)
  if (config.port !== 0 || port === undefined) return
  if ((await database.state.get(PORT_KEY)) !== port) await database.state.set(PORT_KEY, port)
}

async function inspectRoot(path: string, device: DeviceId): Promise<{ foldsCase: boolean }> {
  const { foreign, foldsCase } = await probeRoot(path, device)
  if (!foreign) return { foldsCase }
  const message = `${printable(path)} is synced by another device already (its .kith says so): choose another directory.`
  throw new KithError('path-foreign-marker', message)
}

interface FolderSurroundings {
  readonly database: Database
  readonly log: Log
  readonly emit: Emit
  readonly merger: Merger
  readonly workers: DiskWorkers
  readonly device: DeviceId
  readonly deviceName: string
  /** The home is a copy of another one. */
  readonly copied: boolean
  readonly sweepTurn: SweepTurn
  readonly nameOfDevice: (id: DeviceId) => string
  readonly paired: () => readonly PairedDevice[]
}

async function openFolder(record: FolderRecord, around: FolderSurroundings): Promise<OpenFolder> {
  const { database, emit, merger, workers, device, deviceName, copied, sweepTurn, nameOfDevice, paired } = around
  const { id, name, path, taken, foldsCase, marked } = record
  const log = around.log.child({ part: 'folder', folder: id })
  const disk = await openFolderDisk(path, { folder: id, device, log, workers })
  if (!marked) await disk.accept()
  const engine = createFolderEngine(
    {
      disk,
      store: database.folder(id),
      clock: systemClock,
      random: Math.random,
      emit,
      log,
      mergeText: merger.merge,
      sweepTurn,
      nameOfDevice,
      paired,
    },
    { id, name, device, deviceName, foldsCase, pull: taken, rejoin: copied },
  )
  return { engine, close: () => disk.close() }
}
