"""Campaigns: one message for up to a million recipients, uploaded as rows and sent at a pace (ADR 56)."""
