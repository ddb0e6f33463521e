// What every command gets: the home it is about, the daemon's API, and where to print.
import type { Client } from './client.ts'
import type { Output } from './output.ts'
import type { Place } from './place.ts'

/** The process as the command line sees it; tests give their own. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

export interface Context {
  readonly place: Place
  readonly client: Client
  readonly out: Output
  readonly surroundings: Surroundings
}
