// The systems that do the same work: Kith as it is built, Syncthing with the settings it ships (but the shortest watcher delay it takes,
// and nothing that reaches beyond the network of the run), and rsync, one pass after each change. Each is only told what a person tells it.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { ALLOCATOR, NODE_ARGS } from '../../src/cli/commands/start.ts'
import { Device, type FolderStatus, MAIN } from '../e2e/support/device.ts'
import { runProcess } from '../e2e/support/process.ts'
import { until } from '../e2e/support/until.ts'
import { pair } from '../e2e/support/world.ts'
import { Daemons } from './daemons.ts'
import { Pipe } from './pipe.ts'
import { endedChildren, type Place } from './place.ts'

const START_TIMEOUT_MS = 60_000
const PUSH_TIMEOUT_MS = 1_800_000
const FOLDER = 'files'

export interface System {
  readonly name: string
  /** Names at the top of the folder that belong to the system. */
  readonly own: ReadonlySet<string>
  /** A daemon that sees changes by itself; else `push` after each. */
  readonly live: boolean
  /** Keys, pairing, settings. Nothing runs afterwards. */
  prepare(places: readonly Place[]): Promise<void>
  start(place: Place): Promise<void>
  stop(place: Place): Promise<void>
  /** SIGKILL. */
  kill(place: Place): Promise<void>
  /** Whether all are connected and idle. */
  ready(): Promise<boolean>
  /** Whether the system says that all hold the same `files` files. */
  inSync(files: number): Promise<boolean>
  push(): Promise<void>
  /** Ends all that runs. */
  close(): Promise<void>
}

export interface SystemOptions {
  /** Where the CPU profiles of Kith's daemons go. */
  readonly profiles?: string
}

interface Kind {
  installed(): string | null
  make(options: SystemOptions): System
  /** It can do no other work. */
  readonly only?: string
}

export const SYSTEMS: Readonly<Record<string, Kind>> = {
  kith: { installed: () => kithVersion(), make: options => new Kith(options) },
  syncthing: { installed: () => versionOf('syncthing', ['--version'], /v(\S+)/), make: () => new Syncthing() },
  rsync: { installed: () => versionOf('rsync', ['--version'], /version (\S+)/), make: () => new Rsync() },
  libp2p: { installed: () => '', make: () => new Pipe(), only: 'W1' },
}

function versionOf(program: string, args: readonly string[], pattern: RegExp): string | null {
  try {
    return (
      pattern.exec(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))?.[1] ?? ''
    )
  } catch {
    return null
  }
}

function kithVersion(): string | null {
  return versionOf(process.execPath, [MAIN, '--version'], /(\S+)/)
}

class Kith implements System {
  readonly name = 'kith'
  readonly own = new Set(['.kith'])
  readonly live = true
  readonly #options: SystemOptions
  readonly #devices = new Map<Place, Device>()
  /** Those whose daemon answers. */
  readonly #up = new Set<Place>()
  #shared = false

  constructor(options: SystemOptions) {
    this.#options = options
  }

  async prepare(places: readonly Place[]): Promise<void> {
    const { profiles } = this.#options
    for (const place of places) {
      const profile = profiles === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', `${profiles}/${place.name}`]
      // As `kith start` runs it.
      const inside = ['env', ...Object.entries(ALLOCATOR).map(([name, value]) => `${name}=${value}`)]
      const device = new Device(place.node, place.directory, { node: [...NODE_ARGS, ...profile], inside })
      this.#devices.set(place, device)
      await device.start()
    }
    const [first, ...others] = this.#list()
    if (first === undefined) return
    for (const other of others) await pair(first, other)
    for (const device of this.#list()) await device.stop()
  }

  async start(place: Place): Promise<void> {
    await this.#device(place).start()
    this.#up.add(place)
    if (!this.#shared && this.#up.size === this.#devices.size) await this.#share()
  }

  /** Once all run: what both sides hold already is compared within the measured time. */
  async #share(): Promise<void> {
    this.#shared = true
    const [[first, other] = [], ...rest] = [...this.#devices].map(([place, device]) => [device, place] as const)
    if (first === undefined || other === undefined) return
    await first.ok(['add', other.root, '--name', FOLDER])
    for (const [device, place] of rest) {
      const take = async (): Promise<boolean> => (await device.cli(['get', FOLDER, place.root])).code === 0
      await until(take, { timeoutMs: START_TIMEOUT_MS, what: `${place.name} takes the folder`, everyMs: 50 })
    }
  }

  async stop(place: Place): Promise<void> {
    this.#up.delete(place)
    await this.#device(place).stop()
  }

  async kill(place: Place): Promise<void> {
    this.#up.delete(place)
    await this.#device(place).kill()
  }

  ready(): Promise<boolean> {
    return this.#all(folder => folder.state === 'idle' && folder.devices.every(device => device.connected))
  }

  inSync(files: number): Promise<boolean> {
    return this.#all(
      folder =>
        folder.state === 'idle' &&
        folder.files === files &&
        folder.need.files === 0 &&
        folder.devices.length === this.#devices.size - 1 &&
        folder.devices.every(device => device.inSync),
    )
  }

  push(): Promise<void> {
    return Promise.resolve()
  }

  async close(): Promise<void> {
    // a profile is written at a clean end
    for (const device of this.#list())
      await (this.#options.profiles !== undefined && device.running ? device.stop() : device.destroy())
  }

  async #all(holds: (folder: FolderStatus) => boolean): Promise<boolean> {
    for (const device of this.#list()) if (!holds(await device.folder(FOLDER))) return false
    return true
  }

  #list(): Device[] {
    return [...this.#devices.values()]
  }

  #device(place: Place): Device {
    const device = this.#devices.get(place)
    if (device === undefined) throw new Error(`${place.name} is not prepared`)
    return device
  }
}

const SYNCTHING_PORT = 22_000
const API_KEY = 'bench'

class Syncthing implements System {
  readonly name = 'syncthing'
  readonly own = new Set(['.stfolder', '.stversions'])
  readonly live = true
  readonly #daemons = new Daemons()
  readonly #ids = new Map<Place, string>()

  async prepare(places: readonly Place[]): Promise<void> {
    for (const place of places) {
      const env = { ...process.env, HOME: place.directory }
      const home = `--home=${place.path('state')}`
      const make = ['syncthing', 'generate', home, '--no-default-folder', '--skip-port-probing']
      execFileSync(make[0] ?? '', make.slice(1), { env, stdio: 'ignore' })
      this.#ids.set(place, execFileSync('syncthing', [home, '--device-id'], { env, encoding: 'utf8' }).trim())
      mkdirSync(`${place.root}/.stfolder`)
    }
    for (const place of places) writeFileSync(place.path('state', 'config.xml'), this.#settings(place))
  }

  /** What differs from its own defaults: the folder, the devices, the watcher's delay, and nothing outside this network. */
  #settings(here: Place): string {
    const members = [...this.#ids].map(([, id]) => `<device id="${id}"></device>`).join('')
    const devices = [...this.#ids].map(([place, id]) => {
      const address = place === here ? 'dynamic' : `tcp://${place.node.address}:${SYNCTHING_PORT}`
      return `<device id="${id}" name="${place.name}"><address>${address}</address></device>`
    })
    const off = [
      'globalAnnounceEnabled',
      'localAnnounceEnabled',
      'relaysEnabled',
      'natEnabled',
      'crashReportingEnabled',
    ]
    const options = [...off, 'startBrowser', 'setLowPriority'].map(name => `<${name}>false</${name}>`).join('')
    return `<configuration version="36">
<folder id="${FOLDER}" label="${FOLDER}" path="${here.root}" type="sendreceive" rescanIntervalS="3600" fsWatcherEnabled="true"
 fsWatcherDelayS="1" ignorePerms="false" autoNormalize="true"><filesystemType>basic</filesystemType>${members}
<minDiskFree unit="%">1</minDiskFree><maxConflicts>10</maxConflicts></folder>
${devices.join('\n')}
<gui enabled="true" tls="false"><address>${socketOf(here)}</address><apikey>${API_KEY}</apikey></gui>
<options><listenAddress>tcp://${here.node.address}:${SYNCTHING_PORT}</listenAddress>${options}
<urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH></options></configuration>`
  }

  start(place: Place): Promise<void> {
    const options = ['--no-browser', '--no-upgrade', '--no-restart', '--no-default-folder']
    const command = ['syncthing', 'serve', `--home=${place.path('state')}`, ...options]
    // Without the process that watches over it: killed, that one would leave it behind.
    this.#daemons.start(place, command, { HOME: place.directory, STMONITORED: '1' })
    return Promise.resolve()
  }

  stop(place: Place): Promise<void> {
    return this.#daemons.stop(place)
  }

  kill(place: Place): Promise<void> {
    return this.#daemons.stop(place, 'SIGKILL')
  }

  ready(): Promise<boolean> {
    return this.#all(async place => (await this.#status(place)).state === 'idle')
  }

  inSync(files: number): Promise<boolean> {
    return this.#all(async place => {
      const status = await this.#status(place)
      if (status.state !== 'idle' || status.needTotalItems !== 0) return false
      if (status.localFiles !== files || status.globalFiles !== files) return false
      for (const [other, id] of this.#ids) {
        if (other === place) continue
        const seen = await ask<Completion>(place, `db/completion?folder=${FOLDER}&device=${id}`)
        if (seen.completion !== 100 || seen.needItems !== 0 || seen.needDeletes !== 0) return false
      }
      return true
    })
  }

  push(): Promise<void> {
    return Promise.resolve()
  }

  close(): Promise<void> {
    return this.#daemons.close()
  }

  /** On all places, each connected to all others. It answers nothing while it starts. */
  async #all(holds: (place: Place) => Promise<boolean>): Promise<boolean> {
    try {
      for (const place of this.#ids.keys()) {
        const { connections } = await ask<Connections>(place, 'system/connections')
        const up = [...this.#ids].every(([other, id]) => other === place || connections[id]?.connected === true)
        if (!up || !(await holds(place))) return false
      }
      return true
    } catch {
      return false
    }
  }

  #status(place: Place): Promise<SyncthingStatus> {
    return ask<SyncthingStatus>(place, `db/status?folder=${FOLDER}`)
  }
}

interface SyncthingStatus {
  readonly state: string
  readonly needTotalItems: number
  readonly localFiles: number
  readonly globalFiles: number
}

interface Completion {
  readonly completion: number
  readonly needItems: number
  readonly needDeletes: number
}

interface Connections {
  readonly connections: Readonly<Record<string, { readonly connected: boolean }>>
}

const socketOf = (place: Place): string => place.path('api')

function ask<T>(place: Place, path: string): Promise<T> {
  const options = {
    socketPath: socketOf(place),
    path: `/rest/${path}`,
    headers: { 'X-API-Key': API_KEY },
    timeout: 60_000,
  }
  return new Promise((resolve, reject) => {
    const call = request(options, response => {
      const parts: Buffer[] = []
      response.on('data', (data: Buffer) => parts.push(data))
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(parts).toString()) as T)
        } catch (error) {
          reject(error as Error)
        }
      })
    })
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('error', reject)
    call.end()
  })
}

const RSYNC_PORT = 8730

/** One way, without encryption and without fsync: the floor. */
class Rsync implements System {
  readonly name = 'rsync'
  readonly own = new Set<string>()
  readonly live = false
  readonly #daemons = new Daemons()
  #places: readonly Place[] = []

  prepare(places: readonly Place[]): Promise<void> {
    this.#places = places
    for (const place of places.slice(1)) {
      const module = `[${FOLDER}]\npath = ${place.root}\nread only = no\nmunge symlinks = no\n`
      const settings = `use chroot = yes\nuid = 0\ngid = 0\nport = ${RSYNC_PORT}\nlog file = /dev/null\n${module}`
      writeFileSync(place.path('rsyncd.conf'), settings)
    }
    return Promise.resolve()
  }

  async start(place: Place): Promise<void> {
    if (place === this.#places[0]) return
    this.#daemons.start(place, ['rsync', '--daemon', '--no-detach', `--config=${place.path('rsyncd.conf')}`])
    const list = () => this.#run([`rsync://${place.node.address}:${RSYNC_PORT}/`], START_TIMEOUT_MS)
    await until(list, { timeoutMs: START_TIMEOUT_MS, what: 'rsync answers' })
  }

  stop(place: Place): Promise<void> {
    return this.#daemons.stop(place)
  }

  kill(place: Place): Promise<void> {
    return this.#daemons.stop(place, 'SIGKILL')
  }

  ready(): Promise<boolean> {
    return Promise.resolve(true)
  }

  inSync(): Promise<boolean> {
    return Promise.resolve(true)
  }

  async push(): Promise<void> {
    const [source, ...others] = this.#places
    if (source === undefined) return
    const before = endedChildren()
    for (const place of others) {
      const target = `rsync://${place.node.address}:${RSYNC_PORT}/${FOLDER}/`
      if (!(await this.#run(['-a', '--delete', `${source.root}/`, target], PUSH_TIMEOUT_MS)))
        throw new Error('rsync failed')
    }
    source.charge(endedChildren() - before)
  }

  close(): Promise<void> {
    return this.#daemons.close()
  }

  async #run(args: readonly string[], timeoutMs: number): Promise<boolean> {
    const enter = this.#places[0]?.node.enter ?? []
    return (await runProcess([...enter, 'rsync', ...args], { timeoutMs })).code === 0
  }
}
