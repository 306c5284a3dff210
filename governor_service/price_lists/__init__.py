"""The command that keeps the price book current: `python -m governor_service.price_lists`."""
