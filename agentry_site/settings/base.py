"""Settings: run with nothing installed; the environment upgrades them to PostgreSQL and Redis."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from agentry_site.language import languages_found
from agentry_site.logs import logging_config
from agentry_site.sandboxing import sandbox_rules
from agentry_site.settings import api
from core.env import ConfigurationError, Environment, secret_of_folder
from core.patterns import patterns_parse
from core.tracing.setup import TraceSettings
from governance.secrets.places import Kind, places_parse
from governance.secrets.vault import VaultSettings

BASE_DIR = Path(__file__).resolve().parents[2]
ENV = Environment.of_process()

AGENTRY_ENV = ENV.text("AGENTRY_ENV")
if AGENTRY_ENV not in {"dev", "production"}:
    raise ConfigurationError(f"AGENTRY_ENV={AGENTRY_ENV!r} is not one of: dev, production.")
IS_PRODUCTION = AGENTRY_ENV == "production"
DEBUG = False

DATA_DIR = Path(ENV.text("AGENTRY_DATA_DIR"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)  # inputs, results and sealed keys lie there

SECRET_KEY = ENV.text("AGENTRY_SECRET_KEY")
if IS_PRODUCTION and len(SECRET_KEY) < 40:
    raise ConfigurationError(
        "AGENTRY_SECRET_KEY is missing or shorter than 40 characters. Generate one with: "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )
# Outside production each data folder makes a secret of its own: none is published with the code.
SECRET_KEY = SECRET_KEY or secret_of_folder(DATA_DIR)
SECRET_KEY_FALLBACKS = ENV.items("AGENTRY_SECRET_KEY_FALLBACKS")
SECRET_PLACES = places_parse(ENV.items("AGENTRY_SECRET_SOURCES"))
SECRETS_DIR = ENV.text("AGENTRY_SECRETS_DIR")
VAULT = VaultSettings(
    url=ENV.text("AGENTRY_VAULT_URL"),
    token=ENV.text("AGENTRY_VAULT_TOKEN"),
    role_id=ENV.text("AGENTRY_VAULT_ROLE_ID"),
    secret_id=ENV.text("AGENTRY_VAULT_SECRET_ID"),
    namespace=ENV.text("AGENTRY_VAULT_NAMESPACE"),
    ca_file=ENV.text("AGENTRY_VAULT_CA_FILE"),
    timeout_seconds=ENV.number("AGENTRY_VAULT_TIMEOUT_SECONDS"),
)
try:
    REDACTION_PATTERNS = patterns_parse(ENV.text("AGENTRY_REDACTION_PATTERNS"))
except ValueError as error:
    raise ConfigurationError(f"AGENTRY_REDACTION_PATTERNS: {error}") from None
VAULT_CACHE_SECONDS = ENV.number("AGENTRY_VAULT_CACHE_SECONDS")
if VAULT.url or any(place.kind is Kind.VAULT for place in SECRET_PLACES.values()):
    VAULT.check()
AUDIT_KEY = ENV.text("AGENTRY_AUDIT_KEY") or secret_of_folder(DATA_DIR, "audit")
if len(AUDIT_KEY) < 40:
    raise ConfigurationError(
        "AGENTRY_AUDIT_KEY is shorter than 40 characters. Generate one with: "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )
AUDIT_CHECKPOINT_ENTRIES = ENV.integer("AGENTRY_AUDIT_CHECKPOINT_ENTRIES")
AUDIT_CHECKPOINT_MINUTES = ENV.number("AGENTRY_AUDIT_CHECKPOINT_MINUTES")
ALLOWED_HOSTS = ENV.items("AGENTRY_ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = ENV.items("AGENTRY_TRUSTED_ORIGINS")
FORMAT_MODULE_PATH = ["agentry_site.formats"]
CSRF_FAILURE_VIEW = "core.api.problems.csrf_failure"

INSTALLED_APPS = [
    "agentry_site.apps.AgentrySiteConfig",
    "core.apps.CoreConfig",
    "governance.apps.GovernanceConfig",
    "observability.apps.ObservabilityConfig",
    "plugins.apps.PluginsConfig",
    "agents.apps.AgentsConfig",
    "agentry_site.apps.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "guardian",
    "auditlog",
    "channels",
    "csp",
]

MIDDLEWARE = [
    "agentry_site.telemetry.route_noted",
    "django.middleware.security.SecurityMiddleware",
    "agentry_site.static_files.StaticFiles",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
]

ROOT_URLCONF = "agentry_site.urls"
ASGI_APPLICATION = "agentry_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_POOL = ENV.integer("AGENTRY_DATABASE_POOL")
REQUEST_SLOTS = ENV.integer("AGENTRY_REQUEST_SLOTS")
_database_url = ENV.text("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'agentry.sqlite3'}"
try:
    DATABASES = {"default": environ.Env.db_url_config(_database_url)}
    if not DATABASES["default"]["ENGINE"].startswith("django.db.backends."):
        raise ImproperlyConfigured
except (KeyError, ValueError, ImproperlyConfigured):
    # Its text is not told: it may hold a password.
    raise ConfigurationError(
        "DATABASE_URL is no address of a database; write it like "
        "postgres://user:password@host:5432/name, or unset it for SQLite."
    ) from None
IS_POSTGRES = DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql"
if IS_POSTGRES:
    # Under ASGI every request has a thread of its own, so connections are pooled, not per thread.
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    options = DATABASES["default"].setdefault("OPTIONS", {})
    options["application_name"] = "agentry"
    if idle_seconds := ENV.integer("AGENTRY_DATABASE_IDLE_SECONDS"):
        idle = f"-c idle_in_transaction_session_timeout={idle_seconds}s"
        options["options"] = f"{options.get('options', '')} {idle}".strip()
    if DATABASE_POOL:
        options["pool"] = {
            "min_size": 1,
            "max_size": DATABASE_POOL,
            # How long a request waits for a connection: a restart of the database is waited for,
            # of a longer outage the caller is told.
            "timeout": 5,
            "max_lifetime": 900,
            # Attempts to reconnect are spaced out further and further up to this. The default of
            # five minutes would leave a process without a database long after it came back.
            "reconnect_timeout": 2,
        }
else:
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=20000;"
            " PRAGMA foreign_keys=ON;"
        ),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = ENV.text("REDIS_URL")
if REDIS_URL:
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL]},
        }
    }
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
        }
    }
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 50_000},  # a flood of names must not push counts out
        }
    }

AUTH_USER_MODEL = "governance.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
ANONYMOUS_USER_NAME = None  # guardian: nobody is nobody
GUARDIAN_RAISE_403 = True
SIGN_IN_FAILURES = ENV.integer("AGENTRY_SIGN_IN_FAILURES")

_secure = ENV.text("AGENTRY_SECURE_COOKIES")
SECURE_COOKIES = ENV.boolean("AGENTRY_SECURE_COOKIES") if _secure else IS_PRODUCTION
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if SECURE_COOKIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # whether every subdomain has TLS is for the owner of the domain to say
    "security.W008",  # the proxy that ends TLS redirects; health checks come without it
    "security.W021",  # preloading binds the whole domain for months; not ours to decide
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],  # with the page's own socket (Chrome 71, Firefox, Safari 16)
        "object-src": ["'none'"],
        "base-uri": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGES = languages_found(LOCALE_PATHS[0])
if len(LANGUAGES) > 1:
    _sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    MIDDLEWARE.insert(MIDDLEWARE.index(_sessions) + 1, "agentry_site.language.language_chosen")

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    # What `agentry trace viewer` puts together into one file is served here module by module.
    ("console/trace", str(BASE_DIR / "agentry" / "viewer" / "assets")),
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = not IS_PRODUCTION
DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.integer("AGENTRY_MAX_BODY_BYTES")

CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ALWAYS_EAGER = not REDIS_URL
CELERY_TASK_EAGER_PROPAGATES = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 60
CELERY_TASK_TIME_LIMIT = 90
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {
        "visibility_timeout": 120,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
    }
    if REDIS_URL
    else {}
)
CELERY_BEAT_SCHEDULE = {
    "agents.sweep": {"task": "agents.sweep", "schedule": timedelta(seconds=2)},
    "agents.failures": {"task": "agents.failures", "schedule": timedelta(seconds=30)},
    "agents.usage": {"task": "agents.usage", "schedule": timedelta(seconds=10)},
    "governance.purge": {"task": "governance.purge", "schedule": timedelta(minutes=10)},
    "governance.checkpoint": {"task": "governance.checkpoint", "schedule": timedelta(minutes=1)},
    "governance.deliver": {"task": "governance.deliver", "schedule": timedelta(seconds=5)},
    "governance.news": {"task": "governance.news", "schedule": timedelta(seconds=30)},
}

LOGGING = logging_config(
    format_name=ENV.text("AGENTRY_LOG_FORMAT"), level=ENV.text("AGENTRY_LOG_LEVEL")
)

ENGINE_MODE = ENV.text("AGENTRY_ENGINE")
if ENGINE_MODE not in {"embedded", "off"}:
    raise ConfigurationError(f"AGENTRY_ENGINE={ENGINE_MODE!r} is not one of: embedded, off.")
WORKER_CAPACITY = ENV.integer("AGENTRY_WORKER_CAPACITY")
LEASE_SECONDS = ENV.number("AGENTRY_LEASE_SECONDS")
POLL_SECONDS = ENV.number("AGENTRY_POLL_SECONDS")
DRAIN_SECONDS = ENV.number("AGENTRY_DRAIN_SECONDS")
MAX_CRASHES = ENV.integer("AGENTRY_MAX_CRASHES")
INVOKE_QUEUE = ENV.integer("AGENTRY_INVOKE_QUEUE")
INVOKE_WAITS = ENV.integer("AGENTRY_INVOKE_WAITS")
PUBLIC_URL = ENV.text("AGENTRY_PUBLIC_URL")
if _mail_url := ENV.text("AGENTRY_EMAIL_URL"):
    try:
        vars().update(environ.Env.email_url_config(_mail_url))
    except (KeyError, ValueError, ImproperlyConfigured):
        raise ConfigurationError(
            "AGENTRY_EMAIL_URL is no address of a mail server; write it like "
            "smtp+tls://user:password@host:587, or unset it to send no letters."
        ) from None
IS_MAIL_CONFIGURED = bool(_mail_url)
DEFAULT_FROM_EMAIL = ENV.text("AGENTRY_EMAIL_FROM")
FETCH_ALLOW = tuple(ENV.items("AGENTRY_FETCH_ALLOW"))
POLICY_ENGINE = ENV.text("AGENTRY_POLICY_ENGINE")
POLICY_SECONDS = ENV.number("AGENTRY_POLICY_SECONDS")
OPA_URL = ENV.text("AGENTRY_OPA_URL")
OPA_TOKEN = ENV.text("AGENTRY_OPA_TOKEN")
if POLICY_ENGINE not in {"embedded", "opa"}:
    raise ConfigurationError(
        f"AGENTRY_POLICY_ENGINE={POLICY_ENGINE!r} is not one of: embedded, opa."
    )
if POLICY_ENGINE == "opa" and not OPA_URL.startswith(("http://", "https://", "unix:/")):
    raise ConfigurationError(
        "AGENTRY_POLICY_ENGINE is opa and AGENTRY_OPA_URL names no server. Set it to its address, "
        "such as http://127.0.0.1:8181 or unix:/run/opa.sock."
    )
if not 0.01 <= POLICY_SECONDS <= 4:
    raise ConfigurationError(
        f"AGENTRY_POLICY_SECONDS={POLICY_SECONDS:g} is not between 0.01 and 4 seconds."
    )
SANDBOX_RULES = sandbox_rules(ENV)
SANDBOXES_WARM = ENV.integer("AGENTRY_SANDBOXES_WARM")
DEMO_ONCE = ENV.boolean("DEMO_ONCE")
PROVIDER_ENV = frozenset(ENV.items("AGENTRY_PROVIDER_ENV"))
UNKNOWN_INPUT_PRICE_USD = Decimal(str(ENV.number("AGENTRY_UNKNOWN_INPUT_PRICE_USD")))
UNKNOWN_OUTPUT_PRICE_USD = Decimal(str(ENV.number("AGENTRY_UNKNOWN_OUTPUT_PRICE_USD")))
if not UNKNOWN_INPUT_PRICE_USD or not UNKNOWN_OUTPUT_PRICE_USD:
    raise ConfigurationError(
        "AGENTRY_UNKNOWN_INPUT_PRICE_USD and AGENTRY_UNKNOWN_OUTPUT_PRICE_USD must be more than 0: "
        "a budget would never be reached by a model whose price nobody knows."
    )
WORKSPACES_DIR = DATA_DIR / "workspaces"
_sandbox_socket = ENV.text("AGENTRY_SANDBOX_SOCKET")
SANDBOX_SOCKET = Path(_sandbox_socket) if _sandbox_socket else None
WORKSPACE_BYTES = ENV.integer("AGENTRY_WORKSPACE_BYTES")
WORKSPACE_FILES = ENV.integer("AGENTRY_WORKSPACE_FILES")
SNAPSHOT_DAYS = ENV.number("AGENTRY_SNAPSHOT_DAYS")
SNAPSHOT_GRACE_HOURS = ENV.number("AGENTRY_SNAPSHOT_GRACE_HOURS")
if SNAPSHOT_GRACE_HOURS < 1:
    raise ConfigurationError("AGENTRY_SNAPSHOT_GRACE_HOURS must be at least 1.")

TRACES = TraceSettings.of(ENV)
METRICS_DIR = DATA_DIR / "metrics"
METRICS_TOKEN = ENV.text("AGENTRY_METRICS_TOKEN")
METRICS_ADDRESS = ENV.text("AGENTRY_METRICS_ADDRESS")
METRICS_NAMES = ENV.integer("AGENTRY_METRICS_NAMES")
METRICS_AGENTS = tuple(ENV.items("AGENTRY_METRICS_AGENTS"))
LOOP_LAG_SECONDS = ENV.number("AGENTRY_LOOP_LAG_SECONDS")
if LOOP_LAG_SECONDS <= 0:
    raise ConfigurationError("AGENTRY_LOOP_LAG_SECONDS must be more than 0, such as 0.1.")
if METRICS_ADDRESS and not METRICS_ADDRESS.rpartition(":")[2].isdecimal():
    raise ConfigurationError(
        f"AGENTRY_METRICS_ADDRESS={METRICS_ADDRESS!r} is no address; write it like 127.0.0.1:9464."
    )

REST_FRAMEWORK = api.FRAMEWORK
SPECTACULAR_SETTINGS = api.SCHEMA
