"""What providers of completions may read."""

from core.variables.variable import section

PROVIDERS = section(
    "Providers",
    (
        "AGENTRY_PROVIDER_ENV",
        "list",
        "OPENAI_API_KEY,OPENAI_KEY,ANTHROPIC_API_KEY,ANTHROPIC_KEY,GEMINI_API_KEY,GOOGLE_API_KEY",
        (
            "Environment variables a provider may name as the source of its key. Nothing else "
            "can be read, and such a key is sent to the vendor's own address only."
        ),
    ),
    (
        "AGENTRY_UNKNOWN_INPUT_PRICE_USD",
        "float",
        "15",
        (
            "Dollars a million input tokens that budgets count for a model nobody knows the price "
            "of, so that a cap holds: as dear as the dearest in common use. Never 0."
        ),
    ),
    (
        "AGENTRY_UNKNOWN_OUTPUT_PRICE_USD",
        "float",
        "75",
        "The same a million output tokens.",
    ),
)
