-- Names that have to be quoted: reserved words, and columns with spaces, dots and quotes, in a schema of their own.
-- env ORDERS_TABLE="select"."order"
-- env ORDERS_ID_COLUMN=group by
-- env ORDERS_STATUS_COLUMN=the "case"
-- env ORDERS_DEADLINE_COLUMN=end.at
-- env ORDERS_PAID_AT_COLUMN=where
-- env ORDERS_CANCELLED_AT_COLUMN=Über
-- env ORDERS_UNPAID_STATUSES=not 'paid'
-- env ORDERS_CANCELLED_STATUS=it's "off"
-- env ORDERS_CONDITION="in" <> 'it''s gone'
-- env ORDERS_SET="user" = 'expiry', "in" = 'a"b'
-- cancelled "the ""case""" = 'it''s "off"'
-- also "user" = 'expiry' AND "in" = 'a"b' AND "Über" IS NOT NULL
CREATE SCHEMA "select";
CREATE TYPE "select"."from" AS ENUM ('not ''paid''', 'paid', 'it''s "off"');
CREATE TABLE "select"."order" (
  "group by" text PRIMARY KEY,
  "the ""case""" "select"."from" NOT NULL DEFAULT 'not ''paid''',
  "end.at" timestamptz,
  "where" timestamptz,
  "Über" timestamptz,
  "in" text NOT NULL DEFAULT 'here',
  "user" text,
  expect text NOT NULL
);
INSERT INTO "select"."order" ("group by", "end.at", "where", "in", expect)
SELECT 'o"' || n || '''' || kind, now() + due::interval, CASE WHEN paid THEN now() END, place, expect
FROM generate_series(1, 20) n, (VALUES
  ('a', '4 seconds', false, 'here', 'cancelled'),
  ('b', '4 seconds', true, 'here', 'kept'),
  ('c', '4 seconds', false, 'it''s gone', 'kept'),
  ('d', '1 hour', false, 'here', 'later'),
  ('e', '-2 years', false, 'here', 'backlog')) v (kind, due, paid, place, expect);
