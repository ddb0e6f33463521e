// The daemon's log: pino records of one line each. To a terminal as short text, else as JSON; a daemon in the background also writes a
// file of bounded size in the home. Whatever names and messages hold, no raw control or direction character reaches a terminal.
import pino from 'pino'
import { escapeJsonText, printable } from '../core/display.ts'
import type { Log } from '../core/log.ts'
import type { Config } from './config.ts'

export interface LogTarget {
  write(line: string): void
}

const MARKS: Readonly<Record<number, string>> = { 20: 'debug', 30: 'info ', 40: 'warn ', 50: 'error', 60: 'fatal' }
const OWN_FIELDS = new Set(['level', 'time', 'msg', 'part'])

export function createLog(level: Config['log']['level'], targets: readonly LogTarget[]): Log {
  const destination = {
    write(line: string): void {
      const safe = escapeJsonText(line)
      for (const target of targets) target.write(safe)
    },
  }
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination)
}

/** JSON lines as they are, to a stream. */
export function jsonTarget(stream: NodeJS.WritableStream): LogTarget {
  return { write: line => void stream.write(line) }
}

/** For a person at a terminal: `12:00:01 info  network: linked with desktop`. */
export function textTarget(stream: NodeJS.WritableStream): LogTarget {
  return { write: line => void stream.write(`${textOf(line)}\n`) }
}

function textOf(line: string): string {
  const record = JSON.parse(line) as Record<string, unknown>
  const { level, time, msg, part } = record as { level: number; time: string; msg?: unknown; part?: unknown }
  const clock = new Date(time).toTimeString().slice(0, 8)
  const more = Object.entries(record)
    .filter(([key]) => !OWN_FIELDS.has(key))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const from = typeof part === 'string' ? `${part}: ` : ''
  return printable([clock, MARKS[level] ?? String(level), `${from}${String(msg ?? '')}`, ...more].join(' '))
}
