"""Delivers articles to their publish targets: directories, webhooks, WordPress sites."""
