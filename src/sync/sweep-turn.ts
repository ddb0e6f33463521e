// One sweep of kept versions at a time, of all folders of a device: those that share a disk would each give back all the room that it lacks.
// Nobody waits for its turn: who does not get it comes again. A disk that hangs in its turn keeps the others from sweeping, not from syncing.

export class SweepTurn {
  #isTaken = false

  /** Null: another has the turn. */
  async take<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.#isTaken) return null
    this.#isTaken = true
    try {
      return await work()
    } finally {
      this.#isTaken = false
    }
  }
}
