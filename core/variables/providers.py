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
)
