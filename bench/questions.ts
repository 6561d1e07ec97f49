import { burstQuestion } from './burst.ts'
import { growthQuestion } from './growth.ts'
import { idleQuestion } from './idle.ts'
import { memoryQuestion } from './memory.ts'
import type { Question } from './question.ts'
import { scheduleQuestion } from './schedule.ts'

/** All, in the order in which they are put. */
export const questions: readonly Question[] = [
  burstQuestion(),
  scheduleQuestion(),
  memoryQuestion(),
  growthQuestion(),
  idleQuestion(),
]
