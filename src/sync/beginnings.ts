// Tells linked devices how the large files begin that are being read here, so that they can have most of them when the whole is known.
import type { ContentList } from '../core/content.ts'
import type { FolderNetwork, HashRequest } from '../core/ports.ts'
import type { EarlyContents } from './early-contents.ts'

export interface BeginningsDeps {
  readonly early: Pick<EarlyContents, 'beginsWith' | 'forgetBeginning'>
  readonly network: () => FolderNetwork | null
}

export class Beginnings {
  readonly #deps: BeginningsDeps
  /** Of the files that others were told of, by path: the number by which they know it. */
  readonly #files = new Map<string, number>()
  #numbers = 0

  constructor(deps: BeginningsDeps) {
    this.#deps = deps
  }

  /** The file begins so, and is still being read. */
  known({ path, kind, stat }: HashRequest, prefix: ContentList): void {
    const network = this.#deps.network()
    if (network === null || network.peers().length === 0) return
    this.#deps.early.beginsWith(prefix, { at: 'file', path, kind, stat })
    const file = this.#files.get(path) ?? ++this.#numbers
    this.#files.set(path, file)
    network.offer(file, prefix.content)
  }

  /** All that was read is stored, or was not what it seemed. */
  end(): void {
    for (const [path, file] of this.#files) {
      this.#deps.early.forgetBeginning(path)
      this.#deps.network()?.offer(file, null)
    }
    this.#files.clear()
  }
}
