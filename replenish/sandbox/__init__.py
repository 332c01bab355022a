"""A stateful stand-in for Stripe's HTTP API, so money paths can be tried for real.

It is its own process, imports nothing of the rest of `replenish` and nothing
beyond the standard library, and speaks to the stock `stripe` SDK over real HTTP.

One request takes this way:

1. `server` reads it from the socket (`wire`), `engine` opens a call for it.
2. `auth` (401, 403), then `limits` and the edge faults (429, 503, resets):
   like Stripe's own limiter these stand *before* idempotency, so nothing ran.
3. `idempotency`: a known key answers what it answered before, a key still
   running gets 409, other parameters under a known key get 400.
4. `router` finds the handler: `customers`, `payment_methods`, `intents`,
   `setup_intents`, `charges`, `refunds`, `disputes`, `webhooks` (and events), with
   `lists`, `search` and `expansion` for all of them; `bank` answers a confirmation.
   Cards behave as the test cards of `cards` and the declines of `declines` say.
5. What happened to money is appended to the ledger file (`ledger`) *before* the
   answer leaves, so the file is the truth that a checker holds against everyone
   else; a restart on the same file restores every object and every key.
6. `faults` may then spoil the answer: delay it, cut it, lie in it, or reset the
   connection, after the money has moved.

Everything under `/_sandbox/` is ours and not Stripe's: `control_api` serves it,
`control.Control` calls it. Ids that begin with `pm_sandbox_` are ours as well.

Sources for the behaviour: recordings of the test-mode API in public repositories;
where there is none, docs.stripe.com/api, /error-low-level, /rate-limits, /testing,
/declines/codes, /webhooks; shapes as stripe 16.1 types them (API version
2026-10-28.endive). Where they differ the recordings win
(docs/decisions/0070-sandbox.md).
"""
