// The port's contract on the machine's own time.
import { systemClock } from '../../src/daemon/system-clock.ts'
import { clockContract } from '../contract/clock-contract.ts'

clockContract('of the machine', () => ({
  clock: systemClock,
  pass: ms => systemClock.sleep(ms, { signal: new AbortController().signal }),
  waiting: () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length,
}))
