// The KithError that something must end with.
import { isKithError, type KithError } from '../../../src/core/errors.ts'

export async function refusal(promise: Promise<unknown>): Promise<KithError> {
  try {
    await promise
  } catch (error) {
    if (isKithError(error)) return error
    throw error
  }
  throw new Error('it was not refused')
}
