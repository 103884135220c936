# HOST, KEY (a portfolio manager's) and APPROVER_KEY (somebody else's) are set
api() {
  curl --silent --show-error --fail-with-body \
    -H "X-API-Key: $KEY" -H "Content-Type: application/json" "$@"
}

# Find what the model is made of, and who is to follow it
acme=$(api "$HOST/api/v2/securities?q=ACME" | jq -r '.items[0].id')
bolt=$(api "$HOST/api/v2/securities?q=BOLT" | jq -r '.items[0].id')
harbour=$(api "$HOST/api/v2/portfolios?q=Harbour" | jq -r '.items[0].id')

# Save the model: weights are fractions of market value, written as strings
bands='"low_drift": "0.02", "high_drift": "0.03"'
model=$(api "$HOST/api/v2/models" -d '{
  "name": "Two shares",
  "positions": [
    {"security_id": "'$acme'", "target": "0.50", '"$bands"'},
    {"security_id": "'$bolt'", "target": "0.40", '"$bands"'}],
  "portfolios": ["'$harbour'"]}' | jq -r .id)

# Ask first, if you like: nothing is written
api "$HOST/api/v2/what-if" -d '{
  "portfolio_id": "'$harbour'", "model_id": "'$model'",
  "options": [{}, {"mode": "within_bands"}, {"min_cash": "500.00"}]}' |
  jq -c '.scenarios[] | {status, orders, turnover, drift_after, cash_after}'

# Launch; sent again with the same key, it starts nothing and answers with the same run
run=$(api "$HOST/api/v2/runs" -H "Idempotency-Key: two-shares-monday" \
  -d '{"model_id": "'$model'"}' | jq -r .id)

# Ask until it has ended
until api "$HOST/api/v2/runs/$run" |
  jq -e '.state | IN("completed", "cancelled", "stopped")' > /dev/null; do sleep 1; done

# See the orders
api "$HOST/api/v2/orders?run_id=$run" |
  jq -r '.items[] | [.portfolio_name, .side, .quantity, .ticker, .price] | @tsv'

# Somebody else approves what they saw; 409 if the number of orders has changed since
count=$(api "$HOST/api/v2/runs/$run" | jq .n_awaiting)
KEY=$APPROVER_KEY api "$HOST/api/v2/runs/$run/decisions" \
  -d '{"verdict": "approved", "expected_count": '$count', "comment": "The prices are of that day."}'
