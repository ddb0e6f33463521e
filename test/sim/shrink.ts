// Makes a failing history short: drops steps, devices' first contents and settings for as long as it still fails.
import { runHistory } from './run-history.ts'
import type { History, Step } from './steps.ts'

const LIMIT_MS = 60_000

/** Keeps to the kind of failure it began with. The last step is always a quiet point. */
export async function shrink(
  history: History,
  options: { limitMs?: number; onProgress?: (steps: number) => void } = {},
): Promise<History> {
  const end = performance.now() + (options.limitMs ?? LIMIT_MS)
  let best = history
  const wanted = kindOf((await runHistory(history)).failure)
  const better = async (candidate: History): Promise<boolean> => {
    if (performance.now() > end) return false
    if (kindOf((await runHistory(candidate)).failure) !== wanted) return false
    best = candidate
    options.onProgress?.(candidate.steps.length)
    return true
  }
  for (let improved = true; improved && performance.now() < end; ) {
    improved = false
    for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let at = 0; at < best.steps.length; ) {
        const steps = [...best.steps.slice(0, at), ...best.steps.slice(at + size)]
        if (endsQuietly(steps) && (await better({ ...best, steps }))) improved = true
        else at += size
      }
    }
    for (let at = 0; at < best.before.length; at++) {
      for (let salt = (best.before[at]?.salts.length ?? 0) - 1; salt >= 0; salt--) {
        const before = best.before.map((entry, index) =>
          index === at ? { ...entry, salts: entry.salts.filter((_, other) => other !== salt) } : entry,
        )
        if (await better({ ...best, before })) improved = true
      }
    }
    for (let at = 0; at < best.devices.length; at++) {
      const devices = best.devices.map((setting, index) =>
        index === at ? { name: setting.name, pull: setting.pull } : setting,
      )
      if (JSON.stringify(devices) !== JSON.stringify(best.devices) && (await better({ ...best, devices })))
        improved = true
    }
  }
  return best
}

function endsQuietly(steps: readonly Step[]): boolean {
  return steps.at(-1)?.do === 'quiet'
}

/** The first words of the message: what is wrong, not with what. */
function kindOf(failure: string | null): string | null {
  return failure === null
    ? null
    : failure
        .replace(/w\d+w|\d+/g, '#')
        .split(/[ \n]/)
        .slice(0, 4)
        .join(' ')
}
