// The side that typed the code: finds who shows it, proves it, and keeps its half of the commit. Before its signature leaves, it is
// stored that the outcome is open; whatever breaks after that, it asks until it knows. It must not make a member of anybody by itself.

import { randomBytes } from 'node:crypto'
import type { Connection } from '@libp2p/interface'
import { isKithError, KithError } from '../core/errors.ts'
import type { DeviceId } from '../core/ids.ts'
import type { Log } from '../core/log.ts'
import type { Waiting } from '../core/ports.ts'
import { timeoutSignal } from '../core/timeout.ts'
import { idOf } from './gatekeeper.ts'
import type { Membership } from './membership.ts'
import { objection, selfRemoved, theyWereRemoved, tooManyTries, twoGroups } from './pairing.ts'
import type { Invitation } from './pairing-code.ts'
import type { Parties } from './pairing-proof.ts'
import { deriveKey, NONCE_BYTES, prove, sameProof } from './pairing-proof.ts'
import type { Refusal } from './pairing-wire.ts'
import { blobAt, PAIR_PROTOCOL, PAIRING_EXCHANGE_MS, PairStream, Refused } from './pairing-wire.ts'
import { decodeBody } from './statements.ts'

/** How long devices that come into sight are tried. */
const SEARCH_MS = 20_000
/** After a wrong code: others that are in sight may still be the right one. */
const GRACE_MS = 3_000
/** Exchanges that are under way when the search ends. */
const LAST_TALKS_MS = 10_000
const MAX_PARALLEL_TRIES = 4
const MAX_CANDIDATES = 64
const RESUME_TRIES = 3
const RESUME_PAUSE_MS = 500

export interface Candidate {
  /** Null: whoever is at the address that a person gave. */
  readonly device: DeviceId | null
  readonly addresses: readonly string[]
}

export interface JoiningDeps {
  readonly membership: Membership
  readonly log: Log
  addresses(): readonly string[]
  onAddresses(device: DeviceId, addresses: readonly string[]): void
  /** Calls a device that need not be a member, for this purpose. */
  call(candidate: Candidate, options: Waiting): Promise<Connection>
  /** The pairing does not need that connection any more. */
  release(connection: Connection): void
  /** Devices in sight that are not members, now and as they come, until the signal. */
  sighted(options: Waiting): AsyncIterable<Candidate>
  sleep(ms: number, options: Waiting): Promise<void>
  reached?(step: string): void | Promise<void>
}

export interface Joined {
  readonly id: DeviceId
  readonly name: string
}

export class Joining {
  readonly #deps: JoiningDeps
  #hashing: Promise<unknown> = Promise.resolve()

  constructor(deps: JoiningDeps) {
    this.#deps = deps
  }

  /** With one candidate (an address or a ticket), or whoever comes into sight. Throws KithError `pairing-…`. */
  async join(invitation: Invitation, only: Candidate | null, options: Waiting): Promise<Joined> {
    const { membership } = this.#deps
    if (membership.wasRemoved(membership.self)) throw selfRemoved()
    if (only !== null) return await this.#joinOne(invitation, only, options)
    return await this.#search(invitation, options)
  }

  /** Asks what became of a pairing that this device signed. True once the answer is known and stored. */
  async resume(connection: Connection, device: DeviceId, options: Waiting): Promise<boolean> {
    const signal = AbortSignal.any([options.signal, timeoutSignal(PAIRING_EXCHANGE_MS)])
    const talk = new PairStream(await connection.newStream(PAIR_PROTOCOL, { signal }))
    try {
      await talk.send('resume', {}, [], { signal })
      await this.#store(talk, device, { signal })
      return true
    } catch (error) {
      talk.abort(error instanceof Error ? error : new Error('ended'))
      if (!(error instanceof Refused) || error.why !== 'unknown') throw error
      await this.#deps.membership.dropPrepared(device)
      return true
    }
  }

  async #joinOne(invitation: Invitation, candidate: Candidate, options: Waiting): Promise<Joined> {
    try {
      return await this.#talk(invitation, candidate, options)
    } catch (error) {
      options.signal.throwIfAborted()
      if (error instanceof Refused) throw explain(error.why)
      if (isKithError(error) && error.code.startsWith('pairing-')) throw error
      throw new KithError(
        'pairing-not-found',
        'The device there does not answer. Its code may be used or expired: ask for a new one.',
        {
          cause: error,
        },
      )
    }
  }

  async #search(invitation: Invitation, options: Waiting): Promise<Joined> {
    const end = new AbortController()
    const signal = AbortSignal.any([options.signal, end.signal])
    const cut = new AbortController()
    const talking = { signal: AbortSignal.any([options.signal, cut.signal]) }
    const timers = [this.#endAfter(SEARCH_MS, end)]
    const tried = new Set<DeviceId | null>()
    const running = new Set<Promise<void>>()
    let joined: Joined | null = null
    let failure: KithError | null = null
    const attempt = async (candidate: Candidate): Promise<void> => {
      try {
        joined = await this.#talk(invitation, candidate, talking)
        end.abort()
        cut.abort()
      } catch (error) {
        this.#deps.log.debug({ device: candidate.device, error }, 'a device in sight does not take the code')
        if (isKithError(error) && error.code.startsWith('pairing-')) failure = error
        else if (error instanceof Refused && error.why !== 'unknown') failure = explain(error.why)
        else return
        timers.push(this.#endAfter(GRACE_MS, end))
      }
    }
    try {
      for await (const candidate of this.#deps.sighted({ signal })) {
        if (tried.has(candidate.device) || tried.size >= MAX_CANDIDATES) continue
        tried.add(candidate.device)
        while (running.size >= MAX_PARALLEL_TRIES) await Promise.race(running)
        if (signal.aborted) break
        const run: Promise<void> = attempt(candidate).finally(() => running.delete(run))
        running.add(run)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      // An exchange that is under way may still end well.
      timers.push(this.#endAfter(running.size > 0 ? LAST_TALKS_MS : 0, cut))
      await Promise.all(running)
      for (const stop of timers) stop()
    }
    if (joined !== null) return joined
    options.signal.throwIfAborted()
    throw failure ?? notFound(tried.size)
  }

  #endAfter(ms: number, end: AbortController): () => void {
    const timer = setTimeout(() => end.abort(), ms)
    return () => clearTimeout(timer)
  }

  async #talk(invitation: Invitation, candidate: Candidate, options: Waiting): Promise<Joined> {
    const signal = AbortSignal.any([options.signal, timeoutSignal(PAIRING_EXCHANGE_MS)])
    const connection = await this.#deps.call(candidate, { signal })
    const device = idOf(connection.remotePeer)
    const talk = new PairStream(await connection.newStream(PAIR_PROTOCOL, { signal }))
    try {
      const theirs = await this.#proveBoth(talk, invitation, device, { signal })
      this.#deps.onAddresses(device, theirs.addresses)
      await this.#deps.reached?.('joiner:offered')
      const signature = await this.#deps.membership.prepare(theirs.body)
      await this.#deps.reached?.('joiner:prepared')
      await talk.send('signed', {}, [signature, ...this.#deps.membership.statements()], { signal })
      await this.#deps.reached?.('joiner:signed')
      await this.#store(talk, device, { signal })
      await talk.close({ signal })
      this.#deps.release(connection)
    } catch (error) {
      const reason = error instanceof Error ? error : new Error('ended')
      talk.abort(reason)
      connection.abort(reason)
      if (!this.#deps.membership.isPrepared(device)) throw error
      await this.#settle({ device, addresses: candidate.addresses }, options, error)
    }
    return { id: device, name: this.#deps.membership.nameOf(device) }
  }

  /** Up to the statement that the other side offers to sign. */
  async #proveBoth(
    talk: PairStream,
    invitation: Invitation,
    device: DeviceId,
    options: Waiting,
  ): Promise<{ body: Uint8Array; addresses: readonly string[] }> {
    const { membership } = this.#deps
    const parties: Parties = { offerer: device, joiner: membership.self }
    const nonce = randomBytes(NONCE_BYTES)
    await talk.send('join', { protocol: 1, secret: invitation.kind }, [nonce], options)
    const challenge = await talk.receive(['challenge'], options)
    const nonces = { joiner: nonce, offerer: blobAt(challenge.blobs, 0, NONCE_BYTES) }
    const key = await this.#key(invitation.secret, parties)
    await talk.send('proof', {}, [prove('joiner', key, parties, nonces)], options)
    await this.#deps.reached?.('joiner:proved')
    const theirs = blobAt((await talk.receive(['proof'], options)).blobs, 0)
    if (!sameProof(theirs, prove('offerer', key, parties, nonces))) {
      throw new KithError(
        'pairing-refused',
        'The device that answered does not know the code itself. Something is between you two.',
      )
    }
    const own = { name: membership.nameOf(membership.self), addresses: [...this.#deps.addresses()] }
    await talk.send('about', { ...own, members: [...membership.members()] }, [], options)
    const offer = await talk.receive(['offer'], options)
    const no = objection(membership, device, offer.fields.members)
    if (no !== null) throw no === 'removed' ? theyWereRemoved() : explain(no)
    const body = blobAt(offer.blobs, 0)
    const said = decodeBody(body)
    if (said.is !== 'added' || said.by !== device || said.device !== membership.self) {
      throw new KithError('peer-protocol', 'The other device does not keep to the pairing protocol.')
    }
    return { body, addresses: offer.fields.addresses }
  }

  async #store(talk: PairStream, device: DeviceId, options: Waiting): Promise<void> {
    const { membership } = this.#deps
    const { blobs } = await talk.receive(['done'], options)
    await this.#deps.reached?.('joiner:received')
    await membership.receive(blobs, device)
    if (!membership.isMember(device)) {
      throw new KithError('peer-protocol', 'The other device sent no valid statement of the pairing.')
    }
    await this.#deps.reached?.('joiner:stored')
    await talk.send('stored', {}, [], options)
  }

  /** The talk broke off after the signature had left: asks what the other side made of it. */
  async #settle(candidate: Candidate & { device: DeviceId }, options: Waiting, cause: unknown): Promise<void> {
    const { membership } = this.#deps
    const { device } = candidate
    for (let tries = 0; tries < RESUME_TRIES; tries++) {
      if (membership.isMember(device)) return
      try {
        const connection = await this.#deps.call(candidate, options)
        await this.resume(connection, device, options)
        this.#deps.release(connection)
        if (membership.isMember(device)) return
        throw new KithError(
          'pairing-refused',
          'The connection broke before the pairing was done. Try again with a new code.',
          { cause },
        )
      } catch (error) {
        if (isKithError(error) && error.code === 'pairing-refused') throw error
        options.signal.throwIfAborted()
        await this.#deps.sleep(RESUME_PAUSE_MS, options)
      }
    }
    const sentence =
      'The connection broke at the last step. If the other device was done, this one follows when they meet again.'
    throw new KithError('pairing-refused', sentence, { cause })
  }

  async #key(secret: string, parties: Parties): Promise<Uint8Array> {
    const turn = this.#hashing.then(() => deriveKey(secret, parties))
    this.#hashing = turn.catch(() => undefined)
    return await turn
  }
}

function explain(why: Refusal): KithError {
  switch (why) {
    case 'wrong-code':
      return new KithError('pairing-wrong-code', 'That is not the code that the other device shows.')
    case 'tries':
      return tooManyTries()
    case 'busy':
      return new KithError('pairing-refused', 'Another device is using that code right now.')
    case 'groups':
      return twoGroups()
    case 'removed':
      return new KithError(
        'pairing-refused',
        'This device was removed from that group. It can come back with a new home (--home).',
      )
    case 'unknown':
      return new KithError('pairing-refused', 'The other device gave the pairing up. Try again with a new code.')
    default:
      return why satisfies never
  }
}

function notFound(tried: number): KithError {
  const seen = tried === 0 ? 'No other device is in sight on this network' : 'No device in sight takes a code'
  const sentence = `${seen}. The code may be used or expired; if the devices cannot see each other, give the address: --addr /ip4/…/tcp/…`
  return new KithError('pairing-not-found', sentence)
}
