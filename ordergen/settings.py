"""Every setting, read once from the environment. The README lists the ones an operator changes."""

from __future__ import annotations

import logging
import os
import secrets
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from models_app.portfolio.types import NEAR, Options
from ordergen.core import mongo
from ordergen.ops.private_folder import make_private
from ordergen.places import ASSETS, state_folder

env = environ.Env()

# Where the embedded database, broker and generated secret live; nothing else is written to disk.
STATE_DIR = Path(env("ORDERGEN_HOME", default=str(state_folder())))
try:
    if opened := make_private(STATE_DIR, with_group=env.bool("ORDERGEN_HOME_GROUP", default=False)):
        logging.getLogger(__name__).warning(opened)  # before there is a log: Python writes it to standard error
except OSError as error:
    raise ImproperlyConfigured(
        f"{STATE_DIR} cannot hold what ordergen keeps: {error.strerror}. Set ORDERGEN_HOME to a folder that can."
    ) from error

# Of the disk it lies on; with less this machine says that it is not ready. A large run writes so much at a time.
MIN_FREE_BYTES = env.int("ORDERGEN_MIN_FREE_MB", default=200) * 1024 * 1024

DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])


def _fraction(name: str, default: str) -> Decimal:
    """A setting between 0 and 1, exact."""
    text = str(env(name, default=default))
    with suppress(InvalidOperation):
        if 0 <= (number := Decimal(text)) <= 1:
            return number
    raise ImproperlyConfigured(f"{name} is {text!r}; it has to be a fraction such as {default}.")


def _at_least_one(name: str, default: int) -> int:
    """A setting that counts something of which there cannot be none."""
    number: int = env.int(name, default=default)
    if number < 1:
        raise ImproperlyConfigured(f"{name} is {number}; it has to be 1 or more, such as {default}.")
    return number


def _networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """A comma list of networks, such as 10.20.0.0/16."""
    try:
        return tuple(ip_network(text.strip()) for text in env.list(name, default=[]))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: {error}; it has to be a list such as 10.20.0.0/16,127.0.0.1/32."
        ) from error


_SHORTEST_KEY, _GOOD_KEY = 32, 50  # the manifests of the original service have one of 42


def _secret_key() -> str:
    """The SECRET_KEY of the environment, else one kept in the state folder, made on first use."""
    if key := env("SECRET_KEY", default=""):
        if len(key) < _SHORTEST_KEY:
            words = f"SECRET_KEY needs at least {_SHORTEST_KEY} characters; leave it out to have one generated."
            raise ImproperlyConfigured(words)
        if len(key) < _GOOD_KEY:
            logging.getLogger("ordergen").warning(
                "SECRET_KEY has %s characters; %s or more are better.", len(key), _GOOD_KEY
            )
        return str(key)
    path = STATE_DIR / "secret-key"
    if not path.exists():
        made = STATE_DIR / f"secret-key-{secrets.token_hex(8)}"
        made.touch(mode=0o600)
        made.write_text(secrets.token_urlsafe(64))
        with suppress(FileExistsError):  # another process was first: its key counts
            os.link(made, path)
        made.unlink()
    return path.read_text()


SECRET_KEY = _secret_key()
# Keys of before: what was signed with them, a session or a link, is still good. For a while, then leave them out.
SECRET_KEY_FALLBACKS = [str(key) for key in env.list("SECRET_KEY_FALLBACKS", default=[])]
if any(len(key) < 50 for key in SECRET_KEY_FALLBACKS):
    raise ImproperlyConfigured("Each of SECRET_KEY_FALLBACKS, a comma list, needs at least 50 characters.")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "template_partials",
    "csp",
    "ninja",  # serves Swagger UI from our own origin
    "ordergen.core",
    "ordergen.web",
    "ordergen.accounts",
    "ordergen.audit",
    "ordergen.webhooks",
    "ordergen.ops",
    "models_app",
    "rebalance_app",
]

MIDDLEWARE = [
    "ordergen.web.middleware.correlation_id",
    "ordergen.core.metrics.measured",
    "ordergen.apis.middleware.compressed",
    "ordergen.apis.middleware.api_conventions",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "ordergen.accounts.sign_in.middleware.sign_ins_end",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "ordergen.accounts.sign_in.middleware.refusals_recorded",
    "ordergen.web.middleware.no_store",
    "ordergen.web.middleware.permissions_policy",
    "ordergen.web.middleware.errors_as_pages",
    "ordergen.web.middleware.no_nul",
    "ordergen.accounts.sign_in.middleware.SignedInOnly",
]

ROOT_URLCONF = "ordergen.urls"
WSGI_APPLICATION = "ordergen.wsgi.application"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ASSETS / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ordergen.context.shell",
            ],
            # Hardly a template does without: no page loads them.
            "builtins": [f"ordergen.web.templatetags.{name}" for name in ("drawings", "figures", "shell")],
        },
    }
]

LOCK_SECONDS = 20  # that anybody waits for whoever holds a lock in the database
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if mongo.is_mongo(_url := env("DATABASE_URL", default="")):
    DATABASES = {"default": mongo.database(_url, seconds=10)}
    DEFAULT_AUTO_FIELD, MIGRATION_MODULES = mongo.AUTO_FIELD, mongo.MIGRATIONS
    INSTALLED_APPS = [mongo.APPS.get(name, name) for name in INSTALLED_APPS]
else:
    DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{STATE_DIR / 'ordergen.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["ENGINE"] = "ordergen.core.sqlite"
    DATABASES["default"]["TEST"] = {"NAME": ":memory:"}  # pytest-django knows only Django's own backend by name
    DATABASES["default"]["OPTIONS"] = {
        # IMMEDIATE, because SQLite ignores its time-out when a read transaction turns into a write.
        "transaction_mode": "IMMEDIATE",
        "timeout": LOCK_SECONDS,
        # 64 MB of cache, and as much written ahead before it goes into the file: a chunk of orders touches index pages
        # all over it, which are so written once for many chunks. What grew beyond that is cut back afterwards.
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=-64000;"
        "PRAGMA wal_autocheckpoint=16000;PRAGMA journal_size_limit=67108864;",
    }
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # Nobody waits for ever for a process that hangs while it holds a lock.
    waits = f"-c lock_timeout={LOCK_SECONDS}s -c idle_in_transaction_session_timeout=60s"
    options = DATABASES["default"].setdefault("OPTIONS", {})
    options.setdefault("options", waits)
    # Nor for a server that went away without a word: whatever is not acknowledged in half a minute is lost.
    for name, value in (("connect_timeout", 10), ("keepalives_idle", 30), ("tcp_user_timeout", 30_000)):
        options.setdefault(name, value)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
# Names, tickers and prices of services elsewhere are kept here for a while; a cache that is down only costs time
# (ordergen/core/cache.py), and little of it where Redis takes the connection, or not even that, and then says nothing.
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}
if CACHES["default"]["BACKEND"].endswith("redis.RedisCache"):
    for name in ("socket_connect_timeout", "socket_timeout"):
        CACHES["default"].setdefault("OPTIONS", {}).setdefault(name, 0.5)

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "signin"
# A name, or an address, that failed so often within the minutes is refused for as many minutes. An address is allowed
# more, for a whole office may share one.
SIGN_IN_TRIES = _at_least_one("ORDERGEN_SIGNIN_TRIES", 5)
SIGN_IN_TRIES_PER_ADDRESS = _at_least_one("ORDERGEN_SIGNIN_TRIES_PER_ADDRESS", 20)
SIGN_IN_LOCK_MINUTES = _at_least_one("ORDERGEN_SIGNIN_LOCK_MINUTES", 15)
# Signed in until nothing was done for so long, and so long at most; before what cannot be undone the password is asked
# for again where it was given longer ago.
SESSION_IDLE_MINUTES = _at_least_one("ORDERGEN_SESSION_IDLE_MINUTES", 30)
SESSION_MAX_HOURS = _at_least_one("ORDERGEN_SESSION_MAX_HOURS", 12)
CONFIRM_MINUTES = _at_least_one("ORDERGEN_CONFIRM_MINUTES", 10)
# Roles whose people sign in with an authenticator app besides; others may.
AUTHENTICATOR_ROLES = env.list("ORDERGEN_AUTHENTICATOR_ROLES", default=[])
SESSION_COOKIE_AGE = SESSION_MAX_HOURS * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Behind TLS set ORDERGEN_HTTPS=true; the demo speaks plain HTTP on loopback.
HTTPS = env.bool("ORDERGEN_HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
if HTTPS:  # a browser takes these from this very host only, not from a neighbour in its domain
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
TRUST_PROXY = env.bool("TRUST_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
# Only a proxy that says which requests came by TLS lets us tell the others; probes and Prometheus come without it.
SECURE_SSL_REDIRECT = HTTPS and TRUST_PROXY
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Of what a browser can give to pages these need nothing.
PERMISSIONS_POLICY = (
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), "
    "midi=(), payment=(), screen-wake-lock=(), serial=(), usb=()"
)
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # preloading binds a whole domain for years: for its owner to decide

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [ASSETS / "static"]
STATIC_ROOT = STATE_DIR / "static"  # only where an operator runs collectstatic
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True  # a clone serves its files without a collectstatic step
WHITENOISE_AUTOREFRESH = DEBUG

# A CSV of 40 MB is refused with a clear message by the upload form, so Django may not refuse it first with a bare 400.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000
IMPORT_MAX_BYTES = env.int("ORDERGEN_IMPORT_MAX_BYTES", default=25 * 1024 * 1024)
UPLOADS_MAX_BYTES_PER_PERSON = 4 * IMPORT_MAX_BYTES  # of files that wait to be confirmed,
UPLOADS_MAX_BYTES = env.int("ORDERGEN_UPLOADS_MAX_BYTES", default=40 * IMPORT_MAX_BYTES)  # and of everybody's
MAX_BODY_BYTES = 2 * IMPORT_MAX_BYTES  # what is larger is not even read, and the web server itself says so

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}

# Celery: a message is a hint that carries an id; the database is the queue (rebalance_app/runs/solve_chunk.py).
BROKER_FOLDER = STATE_DIR / "broker"
CELERY_BROKER_URL = env("CELERY_BROKER_URL", default="filesystem://")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = env.int("REBALANCING_MAX_WORKERS", default=2)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A launch is answered within seconds even where the broker takes the connection and then says nothing.
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_HEARTBEAT = 30
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # nobody needs it, and who reaches the broker could stop workers by it
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
# Seconds for one portfolio's integer programme, and what it may take beyond that.
OPTIMIZATION_TIMEOUT = env.int("OPTIMIZATION_TIMEOUT", default=int(Options().time_limit))
SOLVER_STARTUP_SECONDS = 30  # importing CVXPY on a busy machine; a child that needs longer is lost, and another tried
SOLVER_GRACE_SECONDS = 2  # between the limit the solver was given and the end of our patience
# Its data, beyond which a portfolio has no answer: the largest problems of our benchmarks take a fifth of that.
SOLVER_MEMORY_BYTES = env.int("ORDERGEN_SOLVER_MEMORY_MB", default=2048) * 1024 * 1024
SOLVER_OVERHEAD_SECONDS = SOLVER_STARTUP_SECONDS + SOLVER_GRACE_SECONDS
CHUNK_SIZE = env.int("ORDERGEN_CHUNK_SIZE", default=200)  # portfolios per task, at most
# Longer than a chunk of nothing but programmes that each use their limit up, after which the solver's process is killed
# and another one starts (rebalance_app/solving/solver_process.py); only a process that hangs is ended by it.
CELERY_TASK_TIME_LIMIT = CHUNK_SIZE * (OPTIMIZATION_TIMEOUT + SOLVER_OVERHEAD_SECONDS) + 120
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT = "ordergen.ops.folder_broker:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_FOLDER / "messages"),
        "data_folder_out": str(BROKER_FOLDER / "messages"),
        "polling_interval": 0.05,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    # The sweeper, not Redis, brings back what a killed worker held; the first of these only bounds duplicates.
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "visibility_timeout": CELERY_TASK_TIME_LIMIT + 600,
        "socket_connect_timeout": CELERY_BROKER_CONNECTION_TIMEOUT,
        "socket_timeout": 3,
        "health_check_interval": 15,
    }

# Rebalancing
MAX_ATTEMPTS = 3
# Longer than any single step of a worker, the start of its solver included, so that only a dead one's lease lapses.
LEASE_SECONDS = env.int("ORDERGEN_LEASE_SECONDS", default=OPTIMIZATION_TIMEOUT + 60)
SWEEP_SECONDS = env.int("ORDERGEN_SWEEP_SECONDS", default=5)
RESEND_SECONDS = env.int("ORDERGEN_RESEND_SECONDS", default=30)  # a message is sent again, or its work done, after that
# How often the drift figures of a book that does not tell of its changes are computed anew; 0: never.
FIGURES_SECONDS = env.int("ORDERGEN_FIGURES_SECONDS", default=300)
RUNS_PER_PERSON = env.int("ORDERGEN_RUNS_PER_PERSON", default=20)  # under way at a time
MAX_QUEUED = env.int("ORDERGEN_MAX_QUEUED", default=100_000)  # portfolios that may wait for the workers, of everybody
PRICE_MAX_AGE_DAYS = env.int("ORDERGEN_PRICE_MAX_AGE_DAYS", default=7)  # behind the newest price of the book
# How far the newest price may be from an order's, as a fraction of it: beyond the first an approval needs a reason,
# beyond the second it is refused.
PRICE_MOVED_SOFT = _fraction("ORDERGEN_PRICE_MOVED_SOFT", "0.05")
PRICE_MOVED_HARD = _fraction("ORDERGEN_PRICE_MOVED_HARD", "0.20")
# How far the newest price of a file may be from the one before, as a fraction of it, before somebody has to say why.
PRICE_JUMP = _fraction("ORDERGEN_PRICE_JUMP", "0.40")
# Weekdays. A proposal older than the first is approved only with a reason, older than the second it is outdated; a
# newest price older than that takes a reason, and is refused where it was not as old when the run was launched.
PROPOSAL_AGE_SOFT = env.int("ORDERGEN_PROPOSAL_AGE_SOFT", default=1)
PROPOSAL_AGE_HARD = env.int("ORDERGEN_PROPOSAL_AGE_HARD", default=5)
PRICE_AGE_SOFT = env.int("ORDERGEN_PRICE_AGE_SOFT", default=2)
WEB_THREADS = 16  # of each of the web server's processes
DOWNLOADS = WEB_THREADS // 4  # CSV files under way at a time in each of them, so that threads are left for pages
DOWNLOADS_PER_PERSON = 2
V1_WAIT_SECONDS = env.float("ORDERGEN_V1_WAIT_SECONDS", default=25)  # API v1's triggers wait this long for their run
WEBHOOK_NETWORKS = _networks("ORDERGEN_WEBHOOK_NETWORKS")  # inside which webhooks may go, and there without TLS too
API_READS_PER_MINUTE = env.int("ORDERGEN_API_READS_PER_MINUTE", default=600)  # of API v2, for each person
API_WRITES_PER_MINUTE = env.int("ORDERGEN_API_WRITES_PER_MINUTE", default=120)
COMMISSION_RATE = env("ORDERGEN_COMMISSION_RATE", default="0.0005")  # of an order's value, for estimates
NEAR_BAND = env(
    "ORDERGEN_NEAR_BAND", default=str(NEAR)
)  # share of the band from which a position counts as near its edge
ORDERGEN_SOURCE = env("ORDERGEN_SOURCE", default="local")
if ORDERGEN_SOURCE not in {"local", "globeco"}:
    raise ImproperlyConfigured("ORDERGEN_SOURCE is 'local' (the tables of this application) or 'globeco'.")


def _service_url(name: str, default: str) -> str:
    """An address that only the operator can set; nothing that a user or a service says ever becomes one."""
    url = str(env(name, default=default)).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ImproperlyConfigured(f"{name} is {url!r}; it has to be an address such as {default}.")
    return url


# The GlobeCo services, read where ORDERGEN_SOURCE=globeco.
PORTFOLIO_ACCOUNTING_SERVICE_URL = _service_url(
    "PORTFOLIO_ACCOUNTING_SERVICE_URL", "http://globeco-portfolio-accounting-service:8087"
)
PRICING_SERVICE_URL = _service_url("PRICING_SERVICE_URL", "http://globeco-pricing-service:8083")
SECURITY_SERVICE_URL = _service_url("SECURITY_SERVICE_URL", "http://globeco-security-service:8000")
PORTFOLIO_SERVICE_URL = _service_url("PORTFOLIO_SERVICE_URL", "http://globeco-portfolio-service:8000")
# Where approved orders may be sent; empty: nowhere.
ORDER_SERVICE_URL = (
    _service_url("ORDER_SERVICE_URL", "http://globeco-order-service:8081")
    if env("ORDER_SERVICE_URL", default="")
    else ""
)
EXTERNAL_SERVICE_TIMEOUT = env.float("EXTERNAL_SERVICE_TIMEOUT", default=10)  # seconds for one call
EXTERNAL_SERVICE_RETRIES = env.int("EXTERNAL_SERVICE_RETRIES", default=3)  # after the first call
EXTERNAL_SERVICE_PAUSE = env.float("EXTERNAL_SERVICE_PAUSE", default=1)  # before the first retry, then doubled
# Seconds for one read of the book with all its calls and retries; shorter than a worker's lease.
EXTERNAL_SERVICE_DEADLINE = env.float("EXTERNAL_SERVICE_DEADLINE", default=20)
EXTERNAL_SERVICE_CONCURRENCY = env.int("EXTERNAL_SERVICE_CONCURRENCY", default=8)  # calls at once, by process
EXTERNAL_SERVICE_MAX_FAILURES = env.int("EXTERNAL_SERVICE_MAX_FAILURES", default=5)  # then the service counts as down,
EXTERNAL_SERVICE_REST = env.float("EXTERNAL_SERVICE_REST", default=60)  # and is left alone for so many seconds
ORDERGEN_API_AUTH = env("ORDERGEN_API_AUTH", default="required")
if ORDERGEN_API_AUTH not in {"required", "none"}:
    raise ImproperlyConfigured("ORDERGEN_API_AUTH is 'required' or 'none'.")
if ORDERGEN_API_AUTH == "none":
    SECURE_REDIRECT_EXEMPT.append(r"^api/v1/")  # its clients in the closed network speak plain HTTP
# What Prometheus sends as `Authorization: Bearer`; without one /metrics is for this machine, or for a closed network.
METRICS_TOKEN = env("ORDERGEN_METRICS_TOKEN", default="")
# Sites whose pages may ask the open API v1 from a browser, such as https://portal.example; nobody else's may.
API_ORIGINS = env.list("ORDERGEN_API_ORIGINS", default=[])

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"correlated": {"()": "ordergen.core.correlation.Correlated"}},
    "formatters": {"line": {"format": "{asctime} {levelname} {name} [{correlation}] {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["correlated"]}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
    # The embedded broker is a folder and has no host name to warn about.
    # httpx would tell every call of every portfolio, and stamina that it retries something.
    "loggers": {
        "kombu.connection": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "stamina": {"level": "ERROR"},
        "waitress": {"level": "WARNING"},  # would tell of every client that went away,
        "waitress.queue": {"level": "ERROR"},  # and of every moment in which all threads are at work
    },
}
