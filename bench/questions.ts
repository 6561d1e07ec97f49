import { burstQuestion } from './burst.ts'
import type { Question } from './question.ts'

/** All, in the order in which they are put. */
export const questions: readonly Question[] = [burstQuestion()]
