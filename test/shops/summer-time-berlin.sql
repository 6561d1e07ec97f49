-- Local time where the clocks change twice a year, in a database on UTC. Some deadlines lie in the hour that comes twice, or never.
-- env ORDERS_TABLE=bestellungen
-- env ORDERS_DEADLINE_COLUMN=zahlbar_bis
-- env ORDERS_TIME_ZONE=Europe/Berlin
-- env ORDERS_CANCELLED_AT_COLUMN=storniert_am
-- env ORDERS_UNPAID_STATUSES=offen
-- env ORDERS_CANCELLED_STATUS=storniert
-- cancelled status = 'storniert'
-- also abs(extract(epoch FROM storniert_am - zahlbar_bis)) < 60
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = UTC', current_database()); END $$;
CREATE TABLE bestellungen (
  id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  status varchar(20) NOT NULL DEFAULT 'offen',
  zahlbar_bis timestamp,
  storniert_am timestamp,
  expect text NOT NULL
);
INSERT INTO bestellungen (status, zahlbar_bis, expect)
SELECT status, coalesce(due.at::timestamp, (now() AT TIME ZONE 'Europe/Berlin') + due.after::interval), expect
FROM generate_series(1, 10) n, (VALUES
  ('offen', NULL, '4 seconds', 'cancelled'),
  ('bezahlt', NULL, '4 seconds', 'kept'),
  ('offen', NULL, '30 minutes', 'later'),
  ('offen', NULL, '90 minutes', 'later'),
  ('offen', '2037-10-25 02:30', NULL, 'later'),
  ('offen', '2037-03-29 02:30', NULL, 'later'),
  ('offen', '2024-10-27 02:30', NULL, 'backlog'),
  ('offen', '2024-03-31 02:30', NULL, 'backlog')) due (status, at, after, expect);
