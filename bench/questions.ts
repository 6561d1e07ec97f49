import { apiQuestion } from './api.ts'
import { burstQuestion } from './burst.ts'
import { floodQuestion } from './flood.ts'
import { growthQuestion } from './growth.ts'
import { idleQuestion } from './idle.ts'
import { latenessQuestion } from './lateness.ts'
import { lostReplyQuestion } from './lost-reply.ts'
import { memoryQuestion } from './memory.ts'
import { millionQuestion } from './million.ts'
import { pressureQuestion } from './pressure.ts'
import type { Question } from './question.ts'
import { redisAwayQuestion } from './redis-away.ts'
import { relayQuestion } from './relay.ts'
import { scheduleQuestion } from './schedule.ts'
import { shopColumnsQuestion } from './shop-columns.ts'
import { tuningQuestion } from './tuning.ts'

/** All, in the order in which they are put. */
export const questions: readonly Question[] = [
  burstQuestion(),
  shopColumnsQuestion(),
  latenessQuestion(),
  lostReplyQuestion(),
  redisAwayQuestion(),
  scheduleQuestion(),
  memoryQuestion(),
  growthQuestion(),
  idleQuestion(),
  apiQuestion(),
  floodQuestion(),
  tuningQuestion(),
  millionQuestion(),
  pressureQuestion(),
  relayQuestion(),
]
