/** BullMQ's last one: whatever else is due comes first, also where a producer gives its jobs a priority. */
export const LEFT_BEHIND_PRIORITY = 2 ** 21 - 1
