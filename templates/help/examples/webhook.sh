# 1. An administrator's key sets it up; the secret is for whoever listens there.
hook=$(curl --fail-with-body -sS -H "X-API-Key: $ADMIN_KEY" -H "Content-Type: application/json" \
    -d "{\"url\": \"$HOOK_URL\", \"kinds\": [\"rebalance\", \"orders\"], \"description\": \"The OMS\"}" \
    "$HOST/api/v2/webhooks")
at="$HOST/api/v2/webhooks/$(echo "$hook" | jq -r .id)"
curl --fail-with-body -sS -H "X-API-Key: $ADMIN_KEY" "$at/secret" | jq -r .secret

# 2. How it goes: the latest attempts, and how far it has come.
curl --fail-with-body -sS -H "X-API-Key: $ADMIN_KEY" "$at/attempts?limit=5" | jq -c '.items'
