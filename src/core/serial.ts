// Work that must not overlap: one piece after the other, in the order in which it came.

export class Serial {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs it when all that came before has ended, well or not; a failure goes to its caller alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Resolves when everything that came so far has ended. */
  async ended(): Promise<void> {
    await this.#last
  }
}
