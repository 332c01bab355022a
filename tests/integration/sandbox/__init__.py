"""The sandbox, through the stock Stripe SDK and over real HTTP."""
