// The channel alone, as a system that can do one work: what no transfer over it can be faster than.
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Daemons } from './daemons.ts'
import type { Place } from './place.ts'
import type { System } from './systems.ts'

const PORT = 8740
const CHILD = fileURLToPath(new URL('./pipe-child.ts', import.meta.url))

export class Pipe implements System {
  readonly name = 'libp2p'
  readonly own = new Set<string>()
  readonly live = false
  readonly #daemons = new Daemons()
  #places: readonly Place[] = []
  #sender: ChildProcess | null = null

  prepare(places: readonly Place[]): Promise<void> {
    this.#places = places
    return Promise.resolve()
  }

  /** The receiver comes second, and the sender calls it. */
  async start(place: Place): Promise<void> {
    const [source, target] = this.#places
    if (source === undefined || target === undefined || place !== target) return
    await this.#run(target, ['receive', target.root, String(PORT)])
    this.#sender = await this.#run(source, ['send', source.root, `/ip4/${target.node.address}/tcp/${PORT}`])
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
    if (this.#sender === null) return
    this.#sender.send('large')
    await told(this.#sender)
  }

  close(): Promise<void> {
    return this.#daemons.close()
  }

  async #run(place: Place, args: readonly string[]): Promise<ChildProcess> {
    const child = this.#daemons.start(place, [process.execPath, '--import', 'tsx', CHILD, ...args])
    await told(child)
    return child
  }
}

/** Its next message; rejects where it ends before. */
function told(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a process of the channel alone ended'))
    child.once('exit', ended)
    child.once('message', () => {
      child.off('exit', ended)
      resolve()
    })
  })
}
