// What a person may type to take back what one device did. Pure.
import { quote } from '../core/display.ts'

/** To the millisecond and in one folder: all that the device did there since then, what it made included, and nothing else. */
export function undoLine(device: string, since: number, folder: string): string {
  const time = new Date(since).toISOString()
  return `kith undo --device ${quote(device)} --since ${time} --folder ${quote(folder)}`
}
