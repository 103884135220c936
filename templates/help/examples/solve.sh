position='{"security_id": "A", "quantity": "10", "price": "10.00",
  "target": "0.10", "low_drift": "0.01", "high_drift": "0.02"}'
jq -nc --argjson position "$position" '{portfolio_id: "P1", cash: "1003.00",
  positions: [$position], scenarios: [{}, {hold: true}]}' |
  ordergen solve |
  jq -c '{status, trades, scenarios: [.scenarios[] | {orders, turnover, drift_after}]}'
