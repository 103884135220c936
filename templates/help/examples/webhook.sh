# 1. An administrator's key sets it up; the answer has the secret, this once (the page shows it again).
hook=$(curl --fail-with-body -sS -H "X-API-Key: $ADMIN_KEY" -H "Content-Type: application/json" \
    -d "{\"url\": \"$HOOK_URL\", \"kinds\": [\"rebalance\", \"orders\"], \"description\": \"The OMS\"}" \
    "$HOST/api/v2/webhooks")
echo "$hook" | jq -r .secret

# 2. How it goes: the latest attempts, and how far it has come.
curl --fail-with-body -sS -H "X-API-Key: $ADMIN_KEY" \
    "$HOST/api/v2/webhooks/$(echo "$hook" | jq -r .id)/attempts?limit=5" | jq -c '.items'
