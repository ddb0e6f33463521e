// The network as the daemon sees it: builds the parts of this folder, in order, and joins them up. It promises that a device which is
// no member gets no further than a pairing window, and that whoever is removed is cut at once. It holds no rules of its own.
import './polyfill.ts'
import type { Connection, Stream } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import type { Clock } from '../core/clock.ts'
import { KithError } from '../core/errors.ts'
import type { Emit } from '../core/events.ts'
import type { DeviceId, FolderId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type {
  DeviceState,
  FolderNetwork,
  FolderOffer,
  Network,
  PairingOffer,
  SharedFolder,
  Waiting,
} from '../core/ports.ts'
import { timeoutSignal } from '../core/timeout.ts'
import { AddressBook } from './address-book.ts'
import type { Interfaces } from './addresses.ts'
import { formatAddress, MAX_ADDRESSES_PER_DEVICE, mayDial, parseAddress } from './addresses.ts'
import { ContentExchange } from './content-exchange.ts'
import { Discovery, type Sighting } from './discovery.ts'
import { Gatekeeper, idOf } from './gatekeeper.ts'
import { Heartbeat } from './heartbeat.ts'
import type { Identity } from './identity.ts'
import { InterfaceWatch } from './interface-watch.ts'
import type { Candidate } from './joining.ts'
import { Joining } from './joining.ts'
import { Links } from './links.ts'
import { Membership, type MembershipChange } from './membership.ts'
import { dial, startNode, withoutPeer } from './node.ts'
import { Pairing } from './pairing.ts'
import { readInvitation } from './pairing-code.ts'
import { PairingConnections } from './pairing-connections.ts'
import { PAIR_PROTOCOL } from './pairing-wire.ts'
import { PastExchange } from './past-exchange.ts'
import { Replication } from './replication.ts'
import type { MembershipPort, Session } from './session.ts'
import { CONTENT_PROTOCOL, openSession, SYNC_PROTOCOL } from './session.ts'
import { SightBoard } from './sight-board.ts'

/** Of a folder's documents: raised when another version could not read them. */
const FOLDER_FORMAT_VERSION = 1
const RESUME_PAUSE_MS = 10_000
const COMING_MEMBER_MS = 3_000

export interface NetworkDeps {
  readonly identity: Identity
  readonly clock: Clock
  readonly log: Log
  readonly emit: Emit
  /** The machine's interfaces; tests change them. */
  interfaces?(): Interfaces
  /** Told of each step of a pairing; tests let the device die there. */
  reached?(step: string): void | Promise<void>
}

export interface NetworkOptions {
  /** An existing directory that only this user may enter. */
  readonly home: string
  /** This device's name, until it is renamed. */
  readonly name: string
  /** Of the app. */
  readonly version: string
  /** Wanted; another is taken where it is in use: look at `addresses()` and keep it. 0: any. */
  readonly port: number
  /** Multiaddrs to listen on instead of everywhere. */
  readonly listen?: readonly string[]
  /** False: no mDNS. */
  readonly discovery: boolean
}

export function createNetwork(deps: NetworkDeps, options: NetworkOptions): Network {
  return new PeerNetwork(deps, options)
}

class PeerNetwork implements Network {
  readonly device: DeviceId
  readonly #deps: NetworkDeps
  readonly #options: NetworkOptions
  readonly #membership: Membership
  readonly #book: AddressBook
  readonly #gatekeeper: Gatekeeper
  readonly #heartbeat = new Heartbeat()
  readonly #pairing: Pairing
  readonly #joining: Joining
  readonly #links: Links
  readonly #sights: SightBoard
  readonly #visits: PairingConnections
  readonly #watch: InterfaceWatch
  readonly #replication: Replication
  readonly #exchange: ContentExchange
  readonly #past: PastExchange
  readonly #folders = new Map<FolderId, SharedFolder>()
  readonly #resumedAt = new Map<DeviceId, number>()
  #node: Libp2p | null = null
  #discovery: Discovery | null = null
  #controller = new AbortController()

  constructor(deps: NetworkDeps, options: NetworkOptions) {
    const { identity, clock, log } = deps
    this.#deps = deps
    this.#options = options
    this.device = identity.device
    const elapsed = (): number => performance.now()
    this.#membership = new Membership({ ...deps, log: log.child({ part: 'membership' }) }, options)
    this.#book = new AddressBook({ clock, log }, options)
    this.#sights = new SightBoard(elapsed)
    this.#gatekeeper = new Gatekeeper({
      isTrusted: device => this.#membership.isMember(device) || this.#membership.isPrepared(device),
      pairingOpen: () => this.#pairing.open,
      elapsed,
      onUpgraded: connection => this.#heartbeat.watch(connection),
    })
    this.#watch = new InterfaceWatch({
      ...(deps.interfaces === undefined ? {} : { interfaces: deps.interfaces }),
      listening: () => this.addresses(),
      onChange: () => this.#networkChanged(),
      onQuiet: () => void this.#discovery?.restart(),
    })
    this.#visits = new PairingConnections({
      gatekeeper: this.#gatekeeper,
      membership: this.#membership,
      node: () => this.#running(),
      windowOpen: () => this.#pairing.open,
      isLinked: device => this.#links.session(device) !== null,
      onReleased: device => this.#links.connectionChanged(device),
    })
    const common = {
      membership: this.#membership,
      log: log.child({ part: 'pairing' }),
      addresses: () => this.#watch.announced(),
      onAddresses: (device: DeviceId, addresses: readonly string[]) => this.#book.told(device, addresses),
      ...(deps.reached === undefined ? {} : { reached: deps.reached }),
    }
    this.#pairing = new Pairing({ ...common, clock, onWindowClosed: () => this.#visits.windowClosed() })
    this.#joining = new Joining({
      ...common,
      call: (candidate, waiting) => this.#visits.call(candidate, waiting),
      release: connection => this.#visits.release(connection),
      sighted: waiting => this.#strangers(waiting),
      sleep: (ms, waiting) => clock.sleep(ms, waiting),
    })
    this.#replication = new Replication({ clock, log, isMember: device => this.#membership.isMember(device) })
    this.#exchange = new ContentExchange({
      clock,
      log,
      device: this.device,
      sharedWith: (folder, device) => this.#replication.sharedWith(folder, device),
    })
    this.#past = new PastExchange({
      log,
      sharedWith: (folder, device) => this.#replication.sharedWith(folder, device),
    })
    this.#links = new Links({
      self: this.device,
      log: log.child({ part: 'links' }),
      elapsed,
      random: Math.random,
      candidates: device => this.#book.candidates(device, this.#watch.around()),
      dial: (device, addresses, waiting) => dial(this.#running(), device, addresses, waiting),
      connectionsTo: device =>
        this.#connections().filter(one => idOf(one.remotePeer) === device && !this.#visits.isReserved(one)),
      lastByteAt: connection => this.#heartbeat.lastByteAt(connection),
      isNear: connection => this.#watch.isNear(connection),
      openSession: (stream, connection, waiting) => this.#openSession(stream, connection, waiting),
      onLinked: (device, session, connection) => this.#linked(device, session, connection),
      onUnlinked: (device, reason) => this.#unlinked(device, reason),
    })
    this.#membership.onChange(change => this.#membersChanged(change))
  }

  async start(): Promise<void> {
    this.#controller = new AbortController()
    await this.#membership.start()
    await this.#book.start()
    const { identity } = this.#deps
    const node = await startNode({ key: identity.key, gater: this.#gatekeeper.gater }, this.#options)
    this.#node = node
    node.addEventListener('connection:open', event => this.#opened(event.detail))
    node.addEventListener('connection:close', event => this.#closed(event.detail))
    await node.handle(PAIR_PROTOCOL, (stream, connection) => this.#pairing.answer(stream, connection), {
      maxInboundStreams: 2,
    })
    await node.handle(SYNC_PROTOCOL, (stream, connection) => this.#syncStream(stream, connection), {
      maxInboundStreams: 2,
    })
    await node.handle(CONTENT_PROTOCOL, (stream, connection) => this.#contentStream(stream, connection), {
      maxInboundStreams: 4,
    })
    this.#links.start()
    for (const device of this.#membership.members()) this.#links.watch(device)
    for (const device of this.#membership.prepared()) {
      void this.#callToResume({ device, addresses: this.#book.candidates(device, this.#watch.around()) })
    }
    this.#watch.start()
    if (!this.#options.discovery) return
    this.#discovery = new Discovery({
      device: this.device,
      announce: () => this.#watch.announced(),
      sighted: sighting => this.#sighted(sighting),
      logger: node.logger,
      log: this.#deps.log.child({ part: 'discovery' }),
      elapsed: () => performance.now(),
    })
    await this.#discovery.start()
  }

  async stop(): Promise<void> {
    this.#watch.stop()
    this.#controller.abort(new KithError('stopped', 'The daemon stops.'))
    this.#pairing.stop()
    await this.#discovery?.stop()
    await this.#links.stop()
    const node = this.#node
    this.#node = null
    await node?.stop()
    await this.#book.stop()
  }

  get name(): string {
    return this.#membership.nameOf(this.device)
  }

  addresses(): readonly string[] {
    return this.#node === null ? [] : this.#node.getMultiaddrs().map(withoutPeer)
  }

  devices(): readonly DeviceState[] {
    return this.#membership.members().map(id => {
      const connection = this.#links.connection(id)
      const connected = connection !== null
      return {
        id,
        name: this.#membership.nameOf(id),
        connected,
        address: connection === null ? null : withoutPeer(connection.remoteAddr),
        lastSeen: connected ? this.#deps.clock.now() : this.#book.lastSeen(id),
        sighted: this.#book.isSighted(id),
      }
    })
  }

  async offerPairing(options: Waiting): Promise<PairingOffer> {
    this.#running()
    return this.#pairing.offer(options)
  }

  async join(code: string, options: Waiting & { address?: string }): Promise<{ id: DeviceId; name: string }> {
    this.#running()
    const invitation = readInvitation(code)
    const signal = AbortSignal.any([options.signal, this.#controller.signal])
    const only = invitation.kind === 'ticket' ? invitation : null
    if (options.address !== undefined) {
      const address = this.#givenAddress(options.address, only?.device)
      const device = only?.device ?? (parseAddress(options.address)?.peer as DeviceId | null | undefined) ?? null
      const candidate = { device, addresses: [address, ...(only?.addresses ?? [])] }
      const joined = await this.#joining.join(invitation, candidate, { signal })
      this.#book.give(joined.id, address)
      return joined
    }
    if (only === null) {
      if (this.#discovery === null) {
        throw new KithError(
          'pairing-not-found',
          'Finding devices is switched off here. Give the address: --addr /ip4/…/tcp/…',
        )
      }
      void this.#discovery.restart()
    }
    return await this.#joining.join(invitation, only, { signal })
  }

  async removeDevice(device: DeviceId): Promise<void> {
    await this.#membership.remove(device)
    // The change has cut it already; this waits for the cut to be done.
    await this.#links.unwatch(device, 'this device was removed')
  }

  async renameDevice(device: DeviceId, name: string): Promise<void> {
    await this.#membership.rename(device, name)
  }

  async addAddress(device: DeviceId, address: string): Promise<void> {
    if (!this.#membership.isMember(device)) {
      throw new KithError('device-unknown', 'That device is not paired with this one.')
    }
    this.#book.give(device, this.#givenAddress(address, device))
    this.#links.nudge(device, { doubt: false })
  }

  offers(): readonly FolderOffer[] {
    const offers = new Map<FolderId, { id: FolderId; name: string; devices: DeviceId[] }>()
    for (const device of this.#membership.members()) {
      for (const { id, name } of this.#book.folders(device)) {
        const there = offers.get(id)
        if (there === undefined) offers.set(id, { id, name, devices: [device] })
        else there.devices.push(device)
      }
    }
    return [...offers.values()]
  }

  share(folder: SharedFolder): FolderNetwork {
    this.#folders.set(folder.id, folder)
    const network = {
      ...this.#replication.share(folder),
      ...this.#exchange.share(folder.id),
      ...this.#past.share(folder.id),
      isMember: (device: DeviceId) => device === this.device || this.#membership.isMember(device),
    }
    for (const session of this.#links.sessions()) session.sendMembership()
    return network
  }

  async unshare(folder: FolderId): Promise<void> {
    this.#folders.delete(folder)
    this.#replication.unshare(folder)
    for (const session of this.#links.sessions()) session.sendMembership()
  }

  // ------------------------------------------------------------------------------------------------------- connections

  #opened(connection: Connection): void {
    const device = idOf(connection.remotePeer)
    this.#visits.opened(connection)
    if (this.#membership.isMember(device)) this.#links.connectionChanged(device)
    else if (this.#membership.isPrepared(device)) void this.#resume(device, connection)
  }

  #closed(connection: Connection): void {
    this.#visits.closed(connection)
    this.#links.connectionChanged(idOf(connection.remotePeer))
  }

  async #syncStream(stream: Stream, connection: Connection): Promise<void> {
    const device = idOf(connection.remotePeer)
    // The other side may have stored a pairing a moment before this one.
    if (this.#membership.isPrepared(device)) await this.#becomesMember(device)
    if (this.#membership.isMember(device)) await this.#links.accept(device, stream, connection)
    else stream.abort(new Error('not a member'))
  }

  async #contentStream(stream: Stream, connection: Connection): Promise<void> {
    const device = idOf(connection.remotePeer)
    if (this.#membership.isMember(device)) await this.#exchange.serve(stream, device)
    else stream.abort(new Error('not a member'))
  }

  async #openSession(stream: Stream, connection: Connection, options: Waiting): Promise<Session> {
    const device = idOf(connection.remotePeer)
    const link = {
      device,
      address: withoutPeer(connection.remoteAddr),
      openStream: (protocol: string, waiting: Waiting) => connection.newStream(protocol, { signal: waiting.signal }),
    }
    const parts = { replication: this.#replication, exchange: this.#exchange, past: this.#past, membership: this.#port }
    const self = { device: this.device, name: this.#membership.nameOf(this.device), version: this.#options.version }
    return await openSession(stream, link, parts, { signal: options.signal, self })
  }

  #linked(device: DeviceId, session: Session, connection: Connection): void {
    const address = withoutPeer(connection.remoteAddr)
    const host = parseAddress(address)?.host
    if (host !== undefined) this.#gatekeeper.familiar(host)
    if (connection.direction === 'outbound') this.#book.reached(device, address)
    this.#book.seen(device)
    this.#deps.log.info({ device, address }, 'linked')
    this.#deps.emit({ type: 'device:linked', device, name: session.name, address })
  }

  #unlinked(device: DeviceId, reason: string): void {
    this.#book.seen(device)
    this.#book.left(device)
    this.#deps.log.info({ device, reason }, 'unlinked')
    this.#deps.emit({ type: 'device:unlinked', device, reason })
  }

  // -------------------------------------------------------------------------------------------------------- membership

  get #port(): MembershipPort {
    return {
      statements: () => this.#membership.statements(),
      receive: (statements, from) => this.#membership.receive(statements, from),
      folders: () =>
        [...this.#folders.values()].map(({ id, name }) => ({ id, name, formatVersion: FOLDER_FORMAT_VERSION })),
      onFolders: (from, folders) => this.#book.offered(from, folders),
    }
  }

  #membersChanged({ added, removed }: MembershipChange): void {
    for (const session of this.#links.sessions()) session.sendMembership()
    for (const device of removed) {
      // It was told just now, so that it can say what happened; then it is cut.
      void this.#links.unwatch(device, 'this device was removed')
      this.#visits.cut(device)
      this.#book.forget(device)
    }
    if (this.#node !== null) for (const device of added) this.#links.watch(device)
  }

  async #becomesMember(device: DeviceId): Promise<void> {
    const timeout = timeoutSignal(COMING_MEMBER_MS)
    await new Promise<void>(resolve => {
      const stop = this.#membership.onChange(() => this.#membership.isMember(device) && done())
      const done = (): void => {
        stop()
        timeout.removeEventListener('abort', done)
        resolve()
      }
      timeout.addEventListener('abort', done)
    })
  }

  // ----------------------------------------------------------------------------------------------- sightings and calls

  #sighted({ device, addresses }: Sighting): void {
    if (this.#membership.isMember(device)) {
      if (!this.#book.sighted(device, addresses)) {
        if (this.#links.session(device) === null) this.#links.nudge(device, { doubt: false })
        return
      }
      this.#deps.emit({ type: 'device:sighted', device })
      this.#links.nudge(device, { doubt: true })
      return
    }
    if (this.#membership.isPrepared(device)) void this.#callToResume({ device, addresses })
    this.#sights.put(device, addresses)
  }

  async *#strangers(options: Waiting): AsyncGenerator<Candidate> {
    for await (const { device, addresses } of this.#sights.watch(options)) {
      const around = this.#watch.around()
      const allowed = addresses
        .filter(address => mayDial(address, device, 'sighted', around))
        .slice(0, MAX_ADDRESSES_PER_DEVICE)
      if (allowed.length > 0 && !this.#membership.isMember(device)) yield { device, addresses: allowed }
    }
  }

  async #callToResume(candidate: Sighting): Promise<void> {
    const around = this.#watch.around()
    const addresses = candidate.addresses.filter(address => mayDial(address, candidate.device, 'sighted', around))
    if (addresses.length === 0 || !this.#mayResume(candidate.device)) return
    try {
      // `#opened` asks.
      await dial(this.#running(), candidate.device, addresses, { signal: this.#controller.signal })
    } catch (error) {
      this.#deps.log.debug({ device: candidate.device, error }, 'a half-done pairing is still open')
    }
  }

  /** A half-done pairing met its other half: asks for the outcome. */
  async #resume(device: DeviceId, connection: Connection): Promise<void> {
    try {
      await this.#joining.resume(connection, device, { signal: this.#controller.signal })
    } catch (error) {
      this.#deps.log.debug({ device, error }, 'a half-done pairing is still open')
    }
  }

  #mayResume(device: DeviceId): boolean {
    const now = performance.now()
    if (now - (this.#resumedAt.get(device) ?? Number.NEGATIVE_INFINITY) < RESUME_PAUSE_MS) return false
    this.#resumedAt.set(device, now)
    return true
  }

  #givenAddress(text: string, device: DeviceId | undefined): string {
    const endpoint = parseAddress(text)
    const peer = device ?? endpoint?.peer ?? ''
    if (endpoint === null || !mayDial(text, peer, 'given', this.#watch.around())) {
      const sentence = `${JSON.stringify(text)} is not an address of another device. It looks like /ip4/192.168.1.20/tcp/41000`
      throw new KithError('bad-usage', sentence)
    }
    return formatAddress(endpoint)
  }

  #networkChanged(): void {
    this.#deps.log.info('the network changed')
    void this.#discovery?.restart()
    this.#links.nudgeAll({ doubt: true })
  }

  #connections(): Connection[] {
    return this.#node?.getConnections() ?? []
  }

  #running(): Libp2p {
    if (this.#node === null) throw new KithError('stopped', 'The network is not running.')
    return this.#node
  }
}
