"""`python -m musetalk_core` does what `musetalk` does."""

from .cli import main

raise SystemExit(main())
