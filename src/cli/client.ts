// The daemon's local API as the commands see it: JSON over the home's socket. An error of the daemon comes back as the KithError that it
// was, so that its exit code follows from the one table; no daemon is `daemon-absent`.
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { ERRORS, type ErrorCode, KithError, systemCode } from '../core/errors.ts'
import { findSocket, type Place } from './place.ts'

const API = '/api/v1'

export interface Call {
  readonly signal?: AbortSignal
  readonly query?: Readonly<Record<string, string>>
}

export class Client {
  readonly #place: Place

  constructor(place: Place) {
    this.#place = place
  }

  get<T>(path: string, options: Call = {}): Promise<T> {
    const { query } = options
    const asked = query === undefined ? path : `${path}?${new URLSearchParams(query).toString()}`
    return this.#json<T>('GET', asked, undefined, options)
  }

  post<T>(path: string, body: unknown, options: Call = {}): Promise<T> {
    return this.#json<T>('POST', path, body, options)
  }

  /** The lines of an answer that comes bit by bit; ends when the daemon ends it. */
  async *lines(
    method: 'GET' | 'POST',
    path: string,
    options: Call & { readonly body?: object } = {},
  ): AsyncGenerator<string, void, undefined> {
    const { body = {} } = options
    const response = await this.#send(method, path, method === 'POST' ? body : undefined, options)
    if (response.statusCode !== 200) throw failure(await readAll(response))
    try {
      yield* createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error instanceof Error ? this.#explain(error) : error
    } finally {
      response.destroy()
    }
    options.signal?.throwIfAborted()
  }

  async #json<T>(method: 'GET' | 'POST', path: string, body: unknown, options: Call): Promise<T> {
    const response = await this.#send(method, path, body, options)
    const text = await readAll(response)
    if (response.statusCode !== 200) throw failure(text)
    return JSON.parse(text) as T
  }

  #send(method: string, path: string, body: unknown, options: Call): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const { signal } = options
      const call: ClientRequest = request(
        {
          socketPath: findSocket(this.#place.home),
          path: API + path,
          method,
          agent: false,
          ...(signal === undefined ? {} : { signal }),
          ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' } }),
        },
        resolve,
      )
      call.on('error', error => reject(signal?.aborted === true ? signal.reason : this.#explain(error)))
      call.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }

  #explain(error: Error): KithError {
    const { home, command } = this.#place
    switch (systemCode(error)) {
      case 'ENOENT':
      case 'ECONNREFUSED':
      case 'ENOTSOCK':
      case 'ENOTDIR':
        return new KithError('daemon-absent', `No daemon is running for ${home}: start it with "${command} start".`)
      case 'EACCES':
      case 'EPERM':
        return new KithError('home-unsafe', `${home} belongs to another user: use a home of your own with --home.`)
      default:
        return new KithError(
          'stopped',
          `The daemon ended before it answered: "${command} status" shows whether it runs.`,
          {
            cause: error,
          },
        )
    }
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  try {
    for await (const part of response) parts.push(part as Buffer)
  } catch (error) {
    throw new KithError('stopped', 'The daemon ended before it answered.', { cause: error })
  }
  return Buffer.concat(parts).toString()
}

/** What an `{ error: … }` of the daemon stands for. */
export function failure(text: string): KithError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } }
    const code = Object.hasOwn(ERRORS, error.code) ? (error.code as ErrorCode) : 'internal'
    return new KithError(code, error.message)
  } catch {
    return new KithError(
      'internal',
      'The daemon gave an answer that this kith does not understand: is it of another version?',
    )
  }
}
