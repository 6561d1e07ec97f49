-- CANCEL_SQL_FILE: cancels the orders $1 that are unpaid and due, and gives back what they have taken.
WITH wanted AS ( -- each id once
  SELECT i.id::bigint AS id, max(i.deadline) AS deadline
  FROM unnest($1::text[], $2::timestamptz[]) AS i (id, deadline)
  GROUP BY 1
), seen AS ( -- for the answer
  SELECT o.id, o.status = 'pending' AND o.paid_at IS NULL AS unpaid,
         coalesce(o.payment_deadline, w.deadline) AS deadline
  FROM wanted w JOIN orders o ON o.id = w.id
), due AS (
  SELECT o.id
  FROM (SELECT id, deadline FROM wanted ORDER BY id) w
  CROSS JOIN LATERAL ( -- so that each order is looked up by its id, however old the statistics of the table are
    SELECT o.id FROM orders o
    WHERE o.id = w.id AND o.status = 'pending' AND o.paid_at IS NULL
      AND coalesce(o.payment_deadline, w.deadline) <= now()
    FOR UPDATE SKIP LOCKED -- never waits for a payment
  ) o
), cancelled AS ( -- all that follows counts from these rows, so that nothing is given back without its cancellation
  UPDATE orders o SET status = 'cancelled' WHERE o.id = ANY (ARRAY(SELECT id FROM due))
  RETURNING o.id, o.customer_id, o.coupon, o.points
), returned AS MATERIALIZED ( -- one row for each sku, whatever the number of lines and orders
  SELECT l.sku, sum(l.quantity) AS quantity
  FROM cancelled c JOIN order_lines l ON l.order_id = c.id
  GROUP BY l.sku
), shelf AS MATERIALIZED ( -- first the stock, in the order of the skus: no two transactions wait for each other
  SELECT s.sku, r.quantity FROM returned r JOIN stock s ON s.sku = r.sku
  ORDER BY s.sku
  FOR NO KEY UPDATE OF s
), restocked AS (
  UPDATE stock s SET free = s.free + r.quantity, reserved = s.reserved - r.quantity
  FROM shelf r WHERE s.sku = r.sku
), unused AS MATERIALIZED ( -- one row for each coupon
  SELECT coupon AS code, count(*) AS uses FROM cancelled GROUP BY coupon
), wallet AS MATERIALIZED ( -- then the coupons, in the order of the codes; the count: after the stock
  SELECT c.code, u.uses FROM unused u JOIN coupons c ON c.code = u.code
  WHERE (SELECT count(*) FROM shelf) >= 0
  ORDER BY c.code
  FOR NO KEY UPDATE OF c
), reusable AS (
  UPDATE coupons c SET uses_left = c.uses_left + u.uses
  FROM wallet u WHERE c.code = u.code
), unspent AS MATERIALIZED ( -- one row for each customer
  SELECT customer_id AS id, sum(points) AS points FROM cancelled WHERE points > 0 GROUP BY customer_id
), accounts AS MATERIALIZED ( -- then the customers, in the order of their ids; the count: after the coupons
  SELECT c.id, u.points FROM unspent u JOIN customers c ON c.id = u.id
  WHERE (SELECT count(*) FROM wallet) >= 0
  ORDER BY c.id
  FOR NO KEY UPDATE OF c
), refunded AS (
  UPDATE customers c SET points = c.points + u.points
  FROM accounts u WHERE c.id = u.id
)
SELECT w.id::text AS id,
       CASE WHEN c.id IS NOT NULL THEN 'cancelled'
            WHEN s.id IS NULL THEN 'missing'
            WHEN s.unpaid AND isfinite(s.deadline) THEN 'postponed'
            ELSE 'kept' END AS outcome,
       CASE WHEN c.id IS NULL AND s.unpaid AND isfinite(s.deadline) AND s.deadline > now()
            THEN s.deadline END AS until
FROM wanted w LEFT JOIN seen s ON s.id = w.id LEFT JOIN cancelled c ON c.id = w.id
