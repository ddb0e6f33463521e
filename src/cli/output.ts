// All that the commands print. Results go to stdout, everything else to stderr; with `--json` stdout holds JSON and nothing else. Text
// that others made is made printable here and in no other place: pass names through `name()`.
import pc from 'picocolors'
import { printable, printableJson, localTime as timeHere } from '../core/display.ts'

export interface Streams {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

export interface OutputOptions {
  readonly json: boolean
  /** Colours, progress. */
  readonly env: NodeJS.ProcessEnv
}

export class Output {
  readonly json: boolean
  readonly paint: ReturnType<typeof pc.createColors>
  readonly #streams: Streams
  #progress = false

  constructor(streams: Streams, options: OutputOptions) {
    this.#streams = streams
    this.json = options.json
    const { NO_COLOR, TERM } = options.env
    const plain = (NO_COLOR !== undefined && NO_COLOR !== '') || TERM === 'dumb'
    this.paint = pc.createColors(isTerminal(streams.stdout) && !plain && !options.json)
  }

  /** The one document of `--json`. */
  document(value: unknown): void {
    this.#streams.stdout.write(`${printableJson(value, 2)}\n`)
  }

  /** One of several documents, a line each. */
  documentLine(value: unknown): void {
    this.#streams.stdout.write(`${printableJson(value)}\n`)
  }

  /** Text for people; nothing with `--json`. Composed by the commands: line breaks are theirs. */
  text(text = ''): void {
    if (!this.json) this.#streams.stdout.write(`${text}\n`)
  }

  /** Beside the result: what was left out, what to do next. */
  note(text: string): void {
    this.endProgress()
    this.#streams.stderr.write(`${text}\n`)
  }

  /** One line that is written over by the next; only at a terminal. */
  progress(text: string): void {
    if (!isTerminal(this.#streams.stderr)) return
    const columns = (this.#streams.stderr as Partial<NodeJS.WriteStream>).columns ?? 80
    this.#streams.stderr.write(`\r\u001b[K${text.slice(0, columns - 1)}`)
    this.#progress = true
  }

  endProgress(): void {
    if (this.#progress) this.#streams.stderr.write('\r\u001b[K')
    this.#progress = false
  }

  /** Columns under their heads. */
  async table(head: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    if (this.json) return
    const { default: Table } = await import('cli-table3')
    const none = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right']
    const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid']
    const chars = Object.fromEntries([...none, ...inner].map(part => [part, '']))
    const table = new Table({
      head: head.map(text => this.paint.dim(text)),
      chars: { ...chars, middle: '  ' },
      style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    })
    table.push(...rows.map(row => [...row]))
    const lines = table.toString().split('\n')
    this.#streams.stdout.write(`${lines.map(line => line.trimEnd()).join('\n')}\n`)
  }
}

/** A name of a file, folder or device, or any text that came from elsewhere. */
export function name(text: string): string {
  return printable(text)
}

/** The end of a device's id, which both sides of a pairing show. */
export function shortId(id: string): string {
  return `…${printable(id).slice(-6)}`
}

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let value = count
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

export function ago(time: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000))
  if (seconds < 60) return 'just now'
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** To the second, in the time of this machine. */
export function localTime(time: string): string {
  return timeHere(Date.parse(time))
}

function isTerminal(stream: NodeJS.WritableStream): boolean {
  return (stream as Partial<NodeJS.WriteStream>).isTTY === true
}
