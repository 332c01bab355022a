"""Billing packages, one module each; see `replenish.ports.BillingPackage`."""
