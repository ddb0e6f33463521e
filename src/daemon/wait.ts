// `kith wait`: returns when every folder asked for has scanned anew, committed, compared equal with each device that is here, and misses
// nothing on either side. It says so only on the evidence of the engines; it never settles for "quiet for a while". A halt ends it.
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { DeviceState, FolderOffer, Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'

/** Beside the events: for what no event tells (a sighting that grew old). */
const LOOK_AGAIN_MS = 500
/**
 * So long after the last change of what is missing it is asked whether anybody has it, and asked once more. Where somebody does, the next
 * question comes after twice the time, for it is about the whole folder.
 */
const STUCK_MS = 3_000
const MOST_STUCK_MS = 60_000
const MOST_NAMED = 3

export interface WaitDeps {
  readonly device: DeviceId
  devices(): readonly DeviceState[]
  offers(): readonly FolderOffer[]
  /** Returns how to stop listening. */
  listen(listener: () => void): () => void
  readonly stuckMs?: number
}

export interface WaitTarget {
  readonly engines: readonly FolderEngine[]
  /** Must be linked before it ends. */
  readonly device: DeviceId | null
}

export interface WaitResult {
  /** Paired devices that were not here and so were not waited for. */
  readonly absent: readonly { readonly id: DeviceId; readonly name: string }[]
}

export async function waitForSync(
  deps: WaitDeps,
  target: WaitTarget,
  options: { readonly timeoutMs: number | null; readonly signal: AbortSignal },
): Promise<WaitResult> {
  const timeout = new AbortController()
  const ended = new AbortController()
  const signal = AbortSignal.any([options.signal, timeout.signal, ended.signal])
  let missing = 'the scan of this device'
  const timer =
    options.timeoutMs === null
      ? undefined
      : setTimeout(() => timeout.abort(timedOut(options.timeoutMs ?? 0, missing)), options.timeoutMs)
  const turnstile = new Turnstile()
  const deadEnd = new DeadEnd(deps, target)
  const stopListening = deps.listen(() => turnstile.open())
  const ticker = setInterval(() => turnstile.open(), LOOK_AGAIN_MS)
  try {
    await Promise.all(target.engines.map(engine => rescan(engine, signal)))
    for (const engine of target.engines) void follow(engine, turnstile, signal)
    for (;;) {
      signal.throwIfAborted()
      const found = whatIsMissing(deps, target)
      if (found === null) return { absent: absentDevices(deps, target) }
      if (found.forGood) throw new KithError('cannot-hold', `${found.text}: "kith status" there names them.`)
      missing = found.text
      await deadEnd.refuse(missing, { signal })
      await turnstile.pass(signal)
    }
  } finally {
    ended.abort()
    clearTimeout(timer)
    clearInterval(ticker)
    stopListening()
  }
}

async function rescan(engine: FolderEngine, signal: AbortSignal): Promise<void> {
  refuseStopped(engine)
  await engine.rescan({ signal })
  signal.throwIfAborted()
}

/** A folder that is halted or paused will not get there by waiting. */
function refuseStopped(engine: FolderEngine): void {
  const { state, error } = engine.status()
  const name = printable(engine.name)
  if (state === 'paused') {
    throw new KithError('folder-paused', `"${name}" is paused: type "kith folder resume ${name}" first.`)
  }
  if (state === 'error')
    throw new KithError('folder-halted', error?.message ?? `"${name}" does not sync: "kith status" says why.`)
}

async function follow(engine: FolderEngine, turnstile: Turnstile, signal: AbortSignal): Promise<void> {
  try {
    while (!signal.aborted) {
      await engine.changed({ signal })
      turnstile.open()
    }
  } catch {
    // The wait has ended, or the engine: the loop above sees either.
    turnstile.open()
  }
}

/** Content that no device has which is linked: no waiting brings it, since one that is away is not waited for unless it is named. */
class DeadEnd {
  readonly #deps: WaitDeps
  readonly #target: WaitTarget
  #missing = ''
  #since = 0
  #stuckMs = 0
  /** It was found so already, a while ago. */
  #found = false

  constructor(deps: WaitDeps, target: WaitTarget) {
    this.#deps = deps
    this.#target = target
  }

  /** Throws KithError `content-missing` where that is all that is left to wait for. */
  async refuse(missing: string, options: Waiting): Promise<void> {
    const now = performance.now()
    if (missing !== this.#missing) {
      this.#missing = missing
      this.#since = now
      this.#stuckMs = this.#deps.stuckMs ?? STUCK_MS
      this.#found = false
    }
    if (now - this.#since < this.#stuckMs) return
    this.#since = now
    const found = await this.#look(options)
    // Twice: a change that was on its way at one look has come by the other.
    if (found !== null && this.#found) throw new KithError('content-missing', found)
    this.#found = found !== null
    if (found === null) this.#stuckMs = Math.min(2 * this.#stuckMs, MOST_STUCK_MS)
  }

  async #look(options: Waiting): Promise<string | null> {
    const { devices, offers, device } = this.#deps
    const all = devices()
    // One that is near may bring it.
    if (all.some(({ sighted, connected }) => sighted && !connected)) return null
    const linked = new Set(all.flatMap(({ id, connected }) => (connected ? [id] : [])))
    if (this.#target.device !== null && !linked.has(this.#target.device)) return null
    let first: string | null = null
    for (const engine of this.#target.engines) {
      if (missingIn(engine, linked, offers()) === null) continue
      const { need, peers } = engine.status()
      const lacking = peers.filter(peer => linked.has(peer.id) && peer.need.files > 0).map(({ id }) => id)
      if (need.files > 0) lacking.push(device)
      if (lacking.length === 0) return null
      const { files, stale } = await engine.archive.copies('', options)
      const isHere = (id: DeviceId): boolean => id === device || linked.has(id)
      const open = files.filter(({ holders }) => lacking.some(id => !holders.includes(id)))
      if (open.length === 0 || open.some(({ holders }) => holders.some(isHere))) return null
      const paths = open.map(({ path }) => path)
      const away = all.filter(({ id }) => !linked.has(id) && stale.some(each => each.device === id))
      first ??= nobodyHas(
        engine.name,
        paths,
        away.map(({ name }) => printable(name)),
      )
    }
    return first
  }
}

function nobodyHas(folder: string, paths: readonly string[], away: readonly string[]): string {
  const named = paths.slice(0, MOST_NAMED).map(path => `"${printable(path)}"`)
  const more = paths.length > named.length ? ` and ${paths.length - named.length} more` : ''
  const what = `${named.join(', ')}${more} in "${printable(folder)}"`
  if (away.length === 0)
    return `No known device has ${what} any more, so waiting does not help: "kith explain PATH" says what does.`
  return `No linked device has ${what}, so waiting does not help: switch on ${away.join(' or ')}, which may have it; "kith explain PATH" says what else can be done.`
}

/** One phrase about the first thing that is not as it should be, or null. */
function whatIsMissing(deps: WaitDeps, target: WaitTarget): { text: string; forGood: boolean } | null {
  const devices = deps.devices()
  const names = new Map(devices.map(device => [device.id, printable(device.name)]))
  const wanted = devices.find(device => device.id === target.device)
  if (wanted !== undefined && !wanted.connected) return passing(`a link to ${names.get(wanted.id) ?? wanted.id}`)
  const coming = devices.find(device => device.sighted && !device.connected)
  if (coming !== undefined) return passing(`a link to ${names.get(coming.id) ?? coming.id}, which is near`)
  const linked = new Set(devices.filter(device => device.connected).map(device => device.id))
  const offers = deps.offers()
  for (const engine of target.engines) {
    refuseStopped(engine)
    const found = missingIn(engine, linked, offers)
    if (found === null) continue
    const text = `"${printable(engine.name)}": ${found.text}${nameOf(found.device, names)}`
    return { text, forGood: found.forGood === true }
  }
  return null
}

function passing(text: string): { text: string; forGood: boolean } {
  return { text, forGood: false }
}

interface Missing {
  readonly text: string
  readonly device: DeviceId | null
  /** No waiting helps. */
  readonly forGood?: boolean
}

function missingIn(
  engine: FolderEngine,
  linked: ReadonlySet<DeviceId>,
  offers: readonly FolderOffer[],
): Missing | null {
  const status = engine.status()
  if (status.state !== 'idle' || !engine.state().settled) return { text: `it is ${status.state}`, device: null }
  if (engine.state().stopped === 'cannot-hold')
    return { ...cannotHold(status.need.files, 'the disk of this device'), device: null }
  if (status.need.files > 0) return { text: `${filesAre(status.need.files)} still to come`, device: null }
  const peers = new Map(status.peers.map(peer => [peer.id, peer]))
  const offering = offers.find(offer => offer.id === engine.id)?.devices ?? []
  for (const device of new Set([...peers.keys(), ...offering])) {
    if (!linked.has(device)) continue
    const peer = peers.get(device)
    if (peer?.stopped === 'paused') return { text: 'it is paused on ', device }
    if (peer?.stopped === 'cannot-hold') return { ...cannotHold(peer.need.files, 'the disk of '), device }
    if (peer?.stopped != null)
      return { text: `it does not sync until it is answered (${printable(peer.stopped)}) on `, device }
    if (peer === undefined || !peer.inSync) {
      const files = peer?.need.files ?? 0
      return { text: files > 0 ? `${filesAre(files)} still to go to ` : 'it is not yet compared equal with ', device }
    }
  }
  return null
}

/** `disk`: whose; the name of the device follows. */
function cannotHold(entries: number, disk: string): { text: string; forGood: true } {
  const what = entries === 1 ? 'is one name or kind of entry' : `are ${entries} names or kinds of entries`
  return { text: `there ${what} that cannot be had by ${disk}`, forGood: true }
}

function filesAre(files: number): string {
  return files === 1 ? '1 file is' : `${files} files are`
}

function nameOf(device: DeviceId | null, names: ReadonlyMap<DeviceId, string>): string {
  return device === null ? '' : (names.get(device) ?? device)
}

function absentDevices(deps: WaitDeps, target: WaitTarget): WaitResult['absent'] {
  const holders = new Set(target.engines.flatMap(engine => engine.status().peers.map(peer => peer.id)))
  return deps
    .devices()
    .filter(device => !device.connected && holders.has(device.id))
    .map(({ id, name }) => ({ id, name }))
}

function timedOut(ms: number, missing: string): KithError {
  const after = ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`
  return new KithError(
    'wait-timeout',
    `Not in sync after ${after}; still missing: ${missing}. "kith status" shows more.`,
  )
}

/** Lets one waiter through after each opening; an opening while nobody waits is remembered. */
class Turnstile {
  #open = false
  #wake: (() => void) | null = null

  open(): void {
    this.#open = true
    this.#wake?.()
  }

  async pass(signal: AbortSignal): Promise<void> {
    if (!this.#open) {
      await new Promise<void>((resolve, reject) => {
        const end = (): void => {
          this.#wake = null
          signal.removeEventListener('abort', fail)
        }
        const fail = (): void => {
          end()
          reject(signal.reason as Error)
        }
        this.#wake = () => {
          end()
          resolve()
        }
        signal.addEventListener('abort', fail, { once: true })
        if (signal.aborted) fail()
      })
    }
    this.#open = false
  }
}
