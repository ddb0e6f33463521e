// Mixes of histories by name: what a kind of trouble needs to show up often. `npm run test:sim -- --mix NAME`.
import type { Mix } from './steps.ts'

export const MIXES: Readonly<Record<string, Mix>> = {
  /** Directories that are moved into one another, everybody apart. */
  moves: {
    acts: { moveDirectory: 60, moveFile: 30, mkdir: 20, swap: 10, rmrf: 8 },
    apart: 0.9,
  },
  /** Edits of the same few files, while their contents are long on their way. */
  lag: { steps: { content: 30 }, acts: { edit: 60, append: 15, remove: 15, over: 10, moveFile: 20 } },
  /** Processes that die, and power cuts. */
  crashes: { steps: { 'crash-at': 20, kill: 8, 'power-cut': 8, start: 30 } },
  /** Losses, repeats and messages that overtake one another. */
  network: { badNetwork: 1, steps: { link: 25 } },
  /** Names that are one on some disks. */
  folding: { folding: 1, acts: { changeCase: 20, create: 30 } },
  /** Coarse times, wrong and stuck clocks, lossy watchers. */
  clocks: {
    coarse: 0.7,
    stuckClock: 0.3,
    wrongClock: 0.7,
    badWatcher: 0.7,
    acts: { rewrite: 20, edit: 40 },
  },
  /** Homes and disks that are old copies again, and databases that are lost. */
  rollback: { steps: { remember: 8, restore: 8, erase: 4 } },
  /** The same, more of it, and few devices to learn from: `--devices 2-3`. */
  rejoin: { steps: { remember: 10, restore: 10, erase: 4 } },
  /** Disks that cannot have every name. */
  names: { steps: { refuse: 10 } },
  /** Roots that go and come back. */
  roots: { steps: { unmount: 8, empty: 3, unreadable: 8 } },
}
