"""Kalam: language and vision models for scripts that the big models serve badly."""
