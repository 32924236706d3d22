# A policy in Rego: payments by amount. Everything else is denied.
package agentry.tool

import rego.v1

default decision := {"effect": "deny", "rule": "default", "reason": "Only payments are decided here."}

is_payment if startswith(input.tool.name, "pay-")

amount := input.arguments.amount if is_number(input.arguments.amount)

decision := {"effect": "allow", "rule": "small"} if {
	is_payment
	amount > 0
	amount <= 100
} else := {
	"effect": "ask",
	"rule": "large",
	"reason": sprintf("%v dollars are more than 100.", [amount]),
	"approvers": ["group:finance"],
	"quorum": signatures,
	"on_expiry": "park",
} if {
	is_payment
	amount > 100
}

signatures := 1 if amount <= 10000

signatures := 2 if amount > 10000
