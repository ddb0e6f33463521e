// The side that shows the code. One window at a time: five minutes, one success, five wrong tries, then nothing is answered.
// It promises that a device becomes a member only after both proved the code to each other, and that what is stored here and
// there agrees after a crash at any point: the commit is one durable write on this side, and the other side asks for its outcome.

import { randomBytes } from 'node:crypto'
import type { Connection, Stream } from '@libp2p/interface'
import type { Clock } from '../core/clock.ts'
import { isKithError, KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { PairingOffer, Waiting } from '../core/ports.ts'
import { timeoutSignal } from '../core/timeout.ts'
import { idOf } from './gatekeeper.ts'
import type { Membership } from './membership.ts'
import { makeCode, makeTicket, makeTicketSecret, showCode } from './pairing-code.ts'
import type { Parties } from './pairing-proof.ts'
import { deriveKey, NONCE_BYTES, prove, sameProof } from './pairing-proof.ts'
import type { Refusal } from './pairing-wire.ts'
import { blobAt, PAIRING_EXCHANGE_MS, PairStream } from './pairing-wire.ts'
import { encodeBody } from './statements.ts'

const WINDOW_MS = 5 * 60_000
const MAX_WRONG_TRIES = 5

export interface PairingDeps {
  readonly membership: Membership
  readonly clock: Clock
  readonly log: Log
  /** Where this device can be reached, without the peer id. */
  addresses(): readonly string[]
  /** The addresses that a device gave of itself when it proved the code. */
  onAddresses(device: DeviceId, addresses: readonly string[]): void
  /** The window closed: strangers who came for it have to go. */
  onWindowClosed(): void
  /** Called as each step of the exchange is reached. Tests let the process die there. */
  reached?(step: string): void | Promise<void>
}

interface Window {
  readonly secrets: { readonly code: string; readonly ticket: string }
  readonly expiresAt: number
  readonly controller: AbortController
  readonly resolve: (paired: { id: DeviceId; name: string }) => void
  readonly reject: (error: unknown) => void
  wrongTries: number
  /** The device whose proof was right: it alone goes on. */
  holder: Attempt | null
  /** Stored here; waiting to hear that it is stored there too. */
  committed: DeviceId | null
}

interface Attempt {
  readonly device: DeviceId
  cancelled: boolean
}

export class Pairing {
  readonly #deps: PairingDeps
  #window: Window | null = null
  #hashing: Promise<unknown> = Promise.resolve()
  #committing: Promise<unknown> = Promise.resolve()

  constructor(deps: PairingDeps) {
    this.#deps = deps
  }

  get open(): boolean {
    return this.#window !== null && this.#window.committed === null
  }

  offer(options: Waiting): PairingOffer {
    options.signal.throwIfAborted()
    const { membership, clock } = this.#deps
    if (membership.wasRemoved(membership.self)) throw selfRemoved()
    this.#close(new KithError('pairing-expired', 'A newer code replaced this one.'))
    const secrets = { code: makeCode(), ticket: makeTicketSecret() }
    const expiresAt = clock.now() + WINDOW_MS
    let resolve: Window['resolve'] = () => undefined
    let reject: Window['reject'] = () => undefined
    const promise = new Promise<{ id: DeviceId; name: string }>((yes, no) => {
      resolve = yes
      reject = no
    })
    // Whoever waits for it hears of a failure; that nobody does yet is no failure of the process.
    promise.catch(() => undefined)
    const controller = new AbortController()
    const window: Window = {
      secrets,
      expiresAt,
      controller,
      resolve,
      reject,
      wrongTries: 0,
      holder: null,
      committed: null,
    }
    this.#window = window
    const cancel = (reason: unknown): void => {
      if (this.#window === window) this.#close(reason)
    }
    const onAbort = (): void => cancel(options.signal.reason)
    options.signal.addEventListener('abort', onAbort, { once: true })
    controller.signal.addEventListener('abort', () => options.signal.removeEventListener('abort', onAbort), {
      once: true,
    })
    clock.sleep(WINDOW_MS, { signal: controller.signal }).then(
      () => cancel(new KithError('pairing-expired', 'Nobody used the code in time. Ask for a new one.')),
      () => undefined,
    )
    const ticket = makeTicket(membership.self, this.#deps.addresses(), secrets.ticket)
    const cancelled = new KithError('pairing-expired', 'The pairing was cancelled.')
    return { code: showCode(secrets.code), ticket, expiresAt, paired: promise, cancel: () => cancel(cancelled) }
  }

  stop(): void {
    this.#close(new KithError('stopped', 'The daemon stops.'))
  }

  /** The protocol's handler. Never throws; outside the window it answers only a member's question what became of its pairing. */
  async answer(stream: Stream, connection: Connection): Promise<void> {
    const device = idOf(connection.remotePeer)
    const talk = new PairStream(stream)
    const window = this.#window
    const member = this.#deps.membership.isMember(device)
    if (!this.open && !member) {
      talk.abort(new Error('no pairing window is open'))
      return
    }
    const signals = [timeoutSignal(PAIRING_EXCHANGE_MS)]
    try {
      const signal = AbortSignal.any(signals)
      const first = await talk.receive(['join', 'resume'], { signal })
      if (first.type === 'resume') await this.#answerResume(talk, device, { signal })
      else if (window === null || !this.open || this.#window !== window) throw new Error('the window is closed')
      else await this.#admit(talk, device, window, first.fields.secret, blobAt(first.blobs, 0, NONCE_BYTES), { signal })
      await talk.close({ signal })
    } catch (error) {
      this.#deps.log.debug({ device, error }, 'a pairing attempt ended')
      talk.abort(error instanceof Error ? error : new Error('ended'))
    }
  }

  async #admit(
    talk: PairStream,
    device: DeviceId,
    window: Window,
    secret: 'code' | 'ticket',
    nonce: Uint8Array,
    options: Waiting,
  ): Promise<void> {
    const { membership } = this.#deps
    const waiting = { signal: AbortSignal.any([options.signal, window.controller.signal]) }
    const parties: Parties = { offerer: membership.self, joiner: device }
    const nonces = { offerer: randomBytes(NONCE_BYTES), joiner: nonce }
    await talk.send('challenge', {}, [nonces.offerer], waiting)
    const theirs = blobAt((await talk.receive(['proof'], waiting)).blobs, 0)
    const attempt: Attempt = { device, cancelled: false }
    const verdict = await this.#judge(
      window,
      attempt,
      theirs,
      () => this.#key(window.secrets[secret], parties),
      key => prove('joiner', key, parties, nonces),
    )
    if (verdict.no !== null) {
      await talk.send('refused', { why: verdict.no }, [], options)
      if (verdict.no === 'tries') this.#close(tooManyTries())
      return
    }
    await this.#deps.reached?.('offerer:proved')
    try {
      await talk.send('proof', {}, [prove('offerer', verdict.key, parties, nonces)], waiting)
      await this.#finish(talk, window, attempt, waiting)
    } finally {
      if (window.holder === attempt && window.committed === null) window.holder = null
    }
  }

  /** Compares a proof. A wrong one costs a try before the next is even looked at. */
  async #judge(
    window: Window,
    attempt: Attempt,
    theirs: Uint8Array,
    derive: () => Promise<Uint8Array>,
    expected: (key: Uint8Array) => Uint8Array,
  ): Promise<{ no: null; key: Uint8Array } | { no: Refusal }> {
    const turn = this.#hashing.then(async (): Promise<{ no: null; key: Uint8Array } | { no: Refusal }> => {
      if (this.#window !== window || window.wrongTries >= MAX_WRONG_TRIES) return { no: 'tries' }
      const key = await derive()
      if (!sameProof(theirs, expected(key))) {
        window.wrongTries++
        return { no: window.wrongTries >= MAX_WRONG_TRIES ? 'tries' : 'wrong-code' }
      }
      if (window.holder !== null) return { no: 'busy' }
      window.holder = attempt
      return { no: null, key }
    })
    this.#hashing = turn.catch(() => undefined)
    return await turn
  }

  async #finish(talk: PairStream, window: Window, attempt: Attempt, waiting: Waiting): Promise<void> {
    const { membership, clock } = this.#deps
    const { device } = attempt
    const about = (await talk.receive(['about'], waiting)).fields
    const no = objection(membership, device, about.members)
    if (no !== null) {
      await talk.send('refused', { why: no }, [], waiting)
      this.#close(no === 'groups' ? twoGroups() : theyWereRemoved())
      return
    }
    const body = encodeBody({ is: 'added', device, name: about.name, by: membership.self, at: clock.now() })
    const own = { name: membership.nameOf(membership.self), addresses: [...this.#deps.addresses()] }
    await talk.send('offer', { ...own, members: [...membership.members()] }, [body], waiting)
    await this.#deps.reached?.('offerer:offered')
    const { blobs } = await talk.receive(['signed'], waiting)
    await this.#deps.reached?.('offerer:received-signature')
    const statement = await this.#commit(window, attempt, body, blobs, waiting)
    await this.#deps.reached?.('offerer:committed')
    this.#deps.onAddresses(device, about.addresses)
    await this.#handOver(talk, device, statement, waiting)
  }

  async #commit(
    window: Window,
    attempt: Attempt,
    body: Uint8Array,
    blobs: readonly Uint8Array[],
    waiting: Waiting,
  ): Promise<Uint8Array> {
    const turn = this.#committing.then(async () => {
      // From here on nothing but a crash stops it: whoever asks about this attempt waits for this turn to end.
      waiting.signal.throwIfAborted()
      if (attempt.cancelled || this.#window !== window) throw new Error('the attempt was given up')
      const statement = await this.#deps.membership.commit(body, blobAt(blobs, 0), blobs.slice(1))
      window.committed = attempt.device
      return statement
    })
    this.#committing = turn.catch(() => undefined)
    return await turn
  }

  async #answerResume(talk: PairStream, device: DeviceId, options: Waiting): Promise<void> {
    const held = this.#window?.holder
    if (held?.device === device) held.cancelled = true
    await this.#committing
    const statement = this.#deps.membership.pairingWith(device)
    if (statement === null) await talk.send('refused', { why: 'unknown' }, [], options)
    else await this.#handOver(talk, device, statement, options)
  }

  async #handOver(talk: PairStream, device: DeviceId, statement: Uint8Array, options: Waiting): Promise<void> {
    const { membership } = this.#deps
    await talk.send('done', {}, [statement, ...membership.statements()], options)
    await this.#deps.reached?.('offerer:sent')
    await talk.receive(['stored'], options)
    await this.#deps.reached?.('offerer:confirmed')
    const window = this.#window
    if (window?.committed !== device) return
    window.resolve({ id: device, name: membership.nameOf(device) })
    this.#close(new KithError('pairing-expired', 'The code was used.'))
  }

  /** Memory-hard: one at a time, in turn. */
  async #key(secret: string, parties: Parties): Promise<Uint8Array> {
    return await deriveKey(secret, parties)
  }

  #close(reason: unknown): void {
    const window = this.#window
    if (window === null) return
    this.#window = null
    window.reject(
      isKithError(reason) || reason instanceof Error ? reason : new KithError('pairing-expired', 'Cancelled.'),
    )
    window.controller.abort(reason)
    this.#deps.onWindowClosed()
  }
}

/** Why these two must not pair, or null. */
export function objection(membership: Membership, device: DeviceId, theirs: readonly DeviceId[]): Refusal | null {
  if (membership.wasRemoved(device)) return 'removed'
  const others = theirs.filter(id => id !== membership.self)
  const mine = membership.members().filter(id => id !== device)
  const oneGroup = others.some(id => membership.knows(id)) || membership.knows(device)
  return others.length > 0 && mine.length > 0 && !oneGroup ? 'groups' : null
}

export function selfRemoved(): KithError {
  return new KithError(
    'pairing-refused',
    'This device was removed from its group. To join again, start with a new home (--home).',
  )
}

export function theyWereRemoved(): KithError {
  return new KithError(
    'pairing-refused',
    'That device was removed from this group. It can come back with a new home (--home).',
  )
}

export function twoGroups(): KithError {
  const sentence =
    'Both devices are already paired with others, and one home is one group. Use --home for a second group.'
  return new KithError('pairing-groups', sentence)
}

export function tooManyTries(): KithError {
  return new KithError('pairing-tries', 'The code was entered wrongly five times and is void. Ask for a new one.')
}
