import { burstQuestion } from './burst.ts'
import { latenessQuestion } from './lateness.ts'
import type { Question } from './question.ts'

/** All, in the order in which they are put. */
export const questions: readonly Question[] = [burstQuestion(), latenessQuestion()]
