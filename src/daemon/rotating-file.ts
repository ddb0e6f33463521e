// A log file that does not grow without bound: when it is full it becomes `NAME.1`, and the one before is dropped. Written synchronously,
// so that the last lines before a crash are there. A log that cannot be written (a full disk) is given up quietly: it must never stop
// the daemon.
import { closeSync, fchmodSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'

const MAX_BYTES = 4 * 1024 * 1024

export class RotatingFile {
  readonly #path: string
  readonly #maxBytes: number
  #file: number | null = null
  #bytes = 0

  constructor(path: string, options: { maxBytes?: number } = {}) {
    this.#path = path
    this.#maxBytes = options.maxBytes ?? MAX_BYTES
  }

  write(text: string): void {
    const bytes = Buffer.from(text)
    try {
      let file = this.#file ?? this.#open()
      if (this.#bytes > 0 && this.#bytes + bytes.length > this.#maxBytes) {
        this.#rotate()
        file = this.#open()
      }
      this.#bytes += writeSync(file, bytes)
    } catch {
      this.close()
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file)
    this.#file = null
  }

  #open(): number {
    const file = openSync(this.#path, 'a', 0o600)
    fchmodSync(file, 0o600)
    this.#file = file
    this.#bytes = fstatSync(file).size
    return file
  }

  #rotate(): void {
    this.close()
    renameSync(this.#path, `${this.#path}.1`)
    this.#bytes = 0
  }
}
