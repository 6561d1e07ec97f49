-- Places an order and takes all that it needs, or fails and takes nothing. Returns its id.
-- $1 customer, $2 payment deadline, $3 coupon or null, $4 points to spend, $5 skus and $6 quantities of its lines
WITH placed AS (
  INSERT INTO orders (customer_id, payment_deadline, coupon, points)
  VALUES ($1::bigint, $2::timestamptz, $3::text, $4::integer)
  RETURNING id, customer_id, coupon, points
), lines AS (
  INSERT INTO order_lines (order_id, sku, quantity)
  SELECT p.id, l.sku, l.quantity FROM placed p, unnest($5::text[], $6::integer[]) AS l (sku, quantity)
  RETURNING sku, quantity
), taken AS MATERIALIZED ( -- one row for each sku: an UPDATE changes a row once, however many lines match it
  SELECT sku, sum(quantity) AS quantity FROM lines GROUP BY sku
), shelf AS MATERIALIZED ( -- locked in the order of the skus, as by all who lock several
  SELECT s.sku, t.quantity FROM taken t JOIN stock s ON s.sku = t.sku
  ORDER BY s.sku
  FOR NO KEY UPDATE OF s
), reserved AS (
  UPDATE stock s SET free = s.free - t.quantity, reserved = s.reserved + t.quantity
  FROM shelf t WHERE s.sku = t.sku
  RETURNING s.sku
), used AS ( -- the count: after the stock
  UPDATE coupons c SET uses_left = c.uses_left - 1
  FROM placed p WHERE c.code = p.coupon AND (SELECT count(*) FROM reserved) >= 0
  RETURNING c.code
), spent AS ( -- the count: after the coupon
  UPDATE customers c SET points = c.points - p.points
  FROM placed p WHERE c.id = p.customer_id AND p.points > 0 AND (SELECT count(*) FROM used) >= 0
)
SELECT id FROM placed
