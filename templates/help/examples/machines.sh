# on each machine: a firewalled database, a broker for this installation alone, one secret of 50 characters or more
export DATABASE_URL="postgres://ordergen:$PASSWORD@db.internal/ordergen"
export CELERY_BROKER_URL="amqp://ordergen:$PASSWORD@broker.internal/ordergen"
export SECRET_KEY ALLOWED_HOSTS="orders.example.com"

ordergen migrate                             # once, and after each update before anything else starts
ordergen web --host 0.0.0.0 --port 8000      # behind a proxy that speaks HTTPS: ORDERGEN_HTTPS, TRUST_PROXY
ordergen worker                              # on as many machines as needed; each brings a sweeper
