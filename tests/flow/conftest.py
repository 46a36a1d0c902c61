"""What fixtures.py has; pytest puts this folder in front of the path."""

from fixtures import *  # noqa: F403
