"""Prints the shipped price list, made anew from the installed `genai-prices`:

python -m governor_service.price_lists > governor_service/price_lists/shipped.json
"""

import sys
from argparse import ArgumentParser
from datetime import UTC, date, datetime

from governor_service.price_lists import write_price_list
from governor_service.price_lists.genai_prices_listings import PACKAGE, listings


def main() -> None:
    parser = ArgumentParser(prog="python -m governor_service.price_lists", description=__doc__)
    parser.add_argument(
        "--as-of",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        help="the day whose prices count (YYYY-MM-DD, default: today)",
    )
    as_of = parser.parse_args().as_of
    sys.stdout.write(write_price_list(f"{PACKAGE}, prices in force on {as_of}", listings(as_of)))


if __name__ == "__main__":
    main()
